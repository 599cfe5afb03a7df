//! `viscount top`: the platform at a glance, in a terminal.
//!
//! It asks the operations API through the gateway, in the background and with time limits: the screen never waits for the
//! network. [`model`] is what is known and how it changes, [`view`] how it looks; both are pure. `--once` prints the same
//! as text, `--json` as data.

mod ask;
mod data;
mod exposition;
mod figures;
mod format;
mod keys;
mod model;
mod panes;
mod rates;
mod rows;
mod screen;
mod snapshot;
#[cfg(test)]
mod tests;
mod view;

use std::{
    io::{self, IsTerminal, Write as _},
    sync::Arc,
    time::Instant,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{sleep, sleep_until},
};
use viscount_chassis::config::Env;

use self::{
    ask::Ask,
    model::{Message, Model},
    screen::Screen,
    view::Theme,
};
use super::{OpsClient, OpsError};
use crate::{cli::TopArgs, failure::Failure};

/// Messages that wait to be taken in. Questions under way are few, and keys are pressed by hand.
const WAITING: usize = 64;

/// Shows the platform until the user has seen enough; once with `--once` or `--json`.
pub async fn run(args: TopArgs, env: &Env) -> Result<(), Failure> {
    if !args.is_once() {
        check_terminal(env)?;
    }
    let client = OpsClient::open(&args.ops, env)?;
    // What is wrong with the address or the token is said before the terminal is touched.
    greet(&client).await?;
    let model = Model::new(client.url(), args.interval, Timestamp::now());
    if !args.is_once() {
        let theme = Theme::new(env.get("NO_COLOR").is_none());
        return watch(Arc::new(client), model, theme).await;
    }
    let model = look(&client, model).await;
    let shown = if args.json { format!("{:#}\n", snapshot::json(&model)) } else { snapshot::text(&model) };
    match io::stdout().lock().write_all(shown.as_bytes()) {
        // Who looks at the first lines only has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::doing("standard output", error))
        }
        _ => Ok(()),
    }
}

fn check_terminal(env: &Env) -> Result<(), Failure> {
    let refused =
        |why: &str| Failure::Usage(format!("{why}: --once prints the platform as text, --json as JSON"));
    match env.get("TERM") {
        _ if !io::stdin().is_terminal() || !io::stdout().is_terminal() => {
            Err(refused("top needs a terminal"))
        }
        Some("dumb") => Err(refused("this terminal (TERM=dumb) cannot be drawn on")),
        _ => Ok(()),
    }
}

async fn greet(client: &OpsClient) -> Result<(), Failure> {
    match ask::metrics(client, "gateway").await {
        Ok(_) => Ok(()),
        Err(OpsError::NotFound(_)) => Err(Failure::Other(format!(
            "{} has no /v1/ops/metrics: is this the gateway, and as new as this program?",
            client.url()
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Asks everything twice, an interval apart: rates are differences.
async fn look(client: &OpsClient, mut model: Model) -> Model {
    everything(client, &mut model).await;
    sleep(model.interval).await;
    everything(client, &mut model).await;
    model
}

async fn everything(client: &OpsClient, model: &mut Model) {
    let mut asks = model.update(Message::Tick, Instant::now(), Timestamp::now());
    while !asks.is_empty() {
        let answers = join_all(asks.into_iter().map(|ask| ask::ask(client, ask))).await;
        asks = Vec::new();
        for told in answers {
            asks.extend(model.update(Message::Told(told), Instant::now(), Timestamp::now()));
        }
        asks.extend(model.ask_for_all_actors());
    }
}

/// Shows it until the user or a signal ends it.
async fn watch(client: Arc<OpsClient>, mut model: Model, theme: Theme) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::doing("the terminal", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (tell, mut messages) = mpsc::channel(WAITING);
    let mut screen = Screen::enter(tell.clone()).map_err(failed)?;
    let mut ticked: Option<Instant> = None;
    while !model.over {
        if !screen.draw(|frame| view::view(frame, &model, &theme)).map_err(failed)? {
            return Err(Failure::Other("a part of top has panicked; please report it".to_owned()));
        }
        let tick = ticked.map_or_else(Instant::now, |at| at + model.interval);
        let mut message = tokio::select! {
            message = messages.recv() => message,
            () = sleep_until(tick.into()) => {
                ticked = Some(Instant::now());
                Some(Ok(Message::Tick))
            }
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
            _ = interrupt.recv() => break,
        };
        // What has come meanwhile is drawn together; but a flood of keys keeps neither the picture nor a signal back.
        for _ in 0..WAITING {
            let Some(next) = message.take().or_else(|| messages.try_recv().ok()) else { break };
            for ask in model.update(next.map_err(failed)?, Instant::now(), Timestamp::now()) {
                ask_aside(&client, ask, &tell);
            }
        }
    }
    Ok(())
}

fn ask_aside(client: &Arc<OpsClient>, ask: Ask, tell: &mpsc::Sender<io::Result<Message>>) {
    let (client, tell) = (client.clone(), tell.clone());
    actix_rt::spawn(async move {
        let told = ask::ask(&client, ask).await;
        // Fails when the screen is gone.
        let _ = tell.send(Ok(Message::Told(told))).await;
    });
}
