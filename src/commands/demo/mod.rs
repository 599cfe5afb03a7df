//! `viscount demo`: a customer places real orders through the gateway, and each of their states is shown as it arrives
//! over the websocket.

mod shop;
mod story;
mod watch;

use std::{io::IsTerminal, process::ExitCode};

use viscount_chassis::config::Env;

use self::{shop::Shop, story::STORIES};
use super::up;
use crate::{cli::DemoArgs, failure::Failure, home::Home};

/// Brings everything up, tells the stories, and goes on serving, or with `--exit` stops and says how it went.
pub async fn run(args: DemoArgs, env: &Env) -> Result<ExitCode, Failure> {
    let home = Home::open(env)?;
    let stack = up::start(env, &home).await?;
    let told = tell_all(stack.url()).await;
    if !args.exit {
        if let Err(failure) = told {
            eprintln!("viscount: {failure}");
        }
        println!("\nStill serving on {} (API: {}/docs). Ctrl-C stops.", stack.url(), stack.url());
        return up::serve(stack).await;
    }
    let drained = stack.drain().await;
    let failed = told?;
    drained?;
    if failed == 0 {
        println!("\nAll {} orders ended as they should.", STORIES.len());
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Other(format!("{failed} of {} orders did not end as they should", STORIES.len())))
}

/// Tells every story; gives how many ended otherwise than expected.
async fn tell_all(url: &str) -> Result<usize, Failure> {
    let paint = Paint { colour: std::io::stdout().is_terminal() };
    let shop = Shop::enter(url).await?;
    println!("\nA customer registers, logs in and finds {} products in stock.", shop.products());
    let mut failed = 0;
    for story in STORIES {
        println!("\n{}", paint.title(story.title));
        match story.tell(&shop, &paint).await {
            Ok(()) => {}
            Err(failure) => {
                failed += 1;
                println!("  {}", paint.bad(&format!("not as it should be: {failure}")));
            }
        }
    }
    Ok(failed)
}

/// Colours on a terminal, plain text elsewhere.
struct Paint {
    colour: bool,
}

impl Paint {
    fn title(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn bad(&self, text: &str) -> String {
        self.with("31", text)
    }

    fn status(&self, status: &str) -> String {
        let code = match status {
            "completed" => "32",
            "rejected" | "cancelled" => "31",
            "partially_refunded" | "refunded" => "35",
            _ => "36",
        };
        self.with(code, &format!("{status:<18}"))
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
