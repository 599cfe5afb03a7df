//! The terminal: taken over, read from, and given back whatever happens.
//!
//! It is given back when the screen is dropped, by a panic's hook before the panic is told, and by whoever ends the
//! program on a signal.

use std::{
    io::{self, Stdout, stdout},
    panic,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{self, Event},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use tokio::sync::mpsc;

use super::model::Message;

/// How often the reading thread looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(200);

/// True while the terminal is ours.
static OURS: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal, for as long as it is held.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    needed: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal over. What is typed goes to `typed`, until the screen is dropped or the input ends.
    pub fn enter(typed: mpsc::Sender<io::Result<Message>>) -> io::Result<Self> {
        HOOK.call_once(|| {
            let told = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                give_back();
                told(panic);
            }));
        });
        OURS.store(true, Ordering::SeqCst);
        let needed = Arc::new(AtomicBool::new(true));
        let entered = enable_raw_mode()
            .and_then(|()| execute!(stdout(), EnterAlternateScreen))
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        let terminal = entered.inspect_err(|_| give_back())?;
        let screen = Self { terminal, needed: needed.clone() };
        thread::Builder::new().name("keys".to_owned()).spawn(move || read(&typed, &needed))?;
        Ok(screen)
    }

    /// Draws a frame. False when the terminal has been given back behind our back, by a panic.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<bool> {
        if !OURS.load(Ordering::SeqCst) {
            return Ok(false);
        }
        self.terminal.draw(view).map(|_| true)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.needed.store(false, Ordering::SeqCst);
        give_back();
    }
}

/// Once, and only if it was taken.
fn give_back() {
    if OURS.swap(false, Ordering::SeqCst) {
        // Nobody can be told when this fails: the terminal is gone.
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

fn read(typed: &mpsc::Sender<io::Result<Message>>, needed: &AtomicBool) {
    while needed.load(Ordering::SeqCst) {
        let message = match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(error) => Err(error),
        };
        let message = match message {
            Ok(Event::Key(key)) => Ok(Message::Key(key)),
            Ok(Event::Resize(..)) => Ok(Message::Resized),
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        let over = message.is_err();
        if typed.blocking_send(message).is_err() || over {
            return;
        }
    }
}
