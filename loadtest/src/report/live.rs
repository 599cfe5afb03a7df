//! The view of a load that goes on: a picture that is drawn again every second on a terminal, a line every five seconds
//! elsewhere.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IsTerminal},
    rc::Rc,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use tokio::task::JoinHandle;

use super::text::{clock, count, figure};
use crate::measure::{
    recorder::{Progress, Recorder, Second},
    usage::{Latest, Sampler},
};

/// Between two pictures.
const EVERY: Duration = Duration::from_secs(1);
/// How long the last picture may take.
const LAST: Duration = Duration::from_millis(500);
/// Between two plain lines.
const LINE_EVERY: u64 = 5;
/// Width of the bar.
const BAR: usize = 40;
/// Seconds of the small plot.
const SHOWN: usize = 60;
/// Heights of the small plot.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Shows a phase until it is dropped.
pub struct Live {
    task: JoinHandle<()>,
    show: Rc<RefCell<Option<SyncSender<Shown>>>>,
    done: Receiver<()>,
}

/// What is shown.
enum Shown {
    /// Over the picture that was drawn before.
    Picture(Vec<String>),
    /// Below what is there.
    Line(String),
}

/// Begins to show a phase that is planned to last so many seconds, its warm-up included.
///
/// It is drawn by a thread of its own: a terminal that does not read, or a pipe that is full, would otherwise hold the load up.
pub fn phase(
    name: &str,
    load: &str,
    seconds: f64,
    recorder: &Rc<Recorder>,
    sampler: Option<&Rc<Sampler>>,
) -> Live {
    let terminal = io::stdout().is_terminal();
    let (recorder, sampler) = (recorder.clone(), sampler.cloned());
    let mut picture = Picture::new(name, load, seconds);
    let ((show, shown), (finished, done)) = (sync_channel(1), sync_channel(1));
    // Without a thread nothing is shown, and the load goes on.
    let _ = thread::Builder::new().name("live".to_owned()).spawn(move || {
        draw_all(&shown, &mut io::stdout());
        let _ = finished.send(());
    });
    let show = Rc::new(RefCell::new(Some(show)));
    let showing = show.clone();
    let task = tokio::task::spawn_local(async move {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            let latest = sampler.as_ref().map(|sampler| sampler.latest());
            picture.look(recorder.progress(), recorder.last_second(), latest);
            let next = if terminal {
                Some(Shown::Picture(picture.lines()))
            } else {
                picture.line().map(Shown::Line)
            };
            // While the last one is not drawn yet this one is left out.
            if let (Some(show), Some(next)) = (showing.borrow().as_ref(), next) {
                let _ = show.try_send(next);
            }
        }
    });
    Live { task, show, done }
}

/// Draws what comes, until nothing more does.
fn draw_all(shown: &Receiver<Shown>, out: &mut impl io::Write) {
    let mut drawn = 0;
    while let Ok(next) = shown.recv() {
        let text = match next {
            Shown::Picture(lines) => draw(&lines, &mut drawn, width()),
            Shown::Line(line) => line,
        };
        // Who does not read need not be told.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
    if drawn > 0 {
        // The last picture stays.
        let _ = out.write_all(b"\n");
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
        // What is printed next should stand below the last picture; a terminal that does not read is not waited for.
        self.show.take();
        let _ = self.done.recv_timeout(LAST);
    }
}

/// The picture, over the one that was drawn before.
fn draw(lines: &[String], drawn: &mut usize, width: usize) -> String {
    let mut text = if *drawn > 0 { format!("\x1b[{drawn}A") } else { "\n".to_owned() };
    for line in lines {
        // A line that wraps would shift all that follow.
        let fitting: String = line.chars().take(width.saturating_sub(1)).collect();
        text.push_str("\x1b[2K");
        text.push_str(&fitting);
        text.push('\n');
    }
    *drawn = lines.len();
    text
}

/// Columns of the terminal.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}

struct Picture {
    name: String,
    load: String,
    seconds: f64,
    progress: Progress,
    second: Second,
    latest: Option<Latest>,
    rates: VecDeque<u64>,
    ticks: u64,
}

impl Picture {
    fn new(name: &str, load: &str, seconds: f64) -> Self {
        Self {
            name: name.to_owned(),
            load: load.to_owned(),
            seconds,
            progress: Progress::default(),
            second: Second::default(),
            latest: None,
            rates: VecDeque::new(),
            ticks: 0,
        }
    }

    fn look(&mut self, progress: Progress, second: Option<Second>, latest: Option<Latest>) {
        self.progress = progress;
        self.latest = latest;
        self.ticks += 1;
        if let Some(second) = second {
            if self.rates.len() == SHOWN {
                self.rates.pop_front();
            }
            self.rates.push_back(second.good);
            self.second = second;
        }
    }

    fn state(&self) -> &'static str {
        match self.progress.elapsed.as_secs_f64() {
            elapsed if elapsed > self.seconds => "finishing",
            _ if self.progress.measuring => "measuring",
            _ => "warming up",
        }
    }

    /// Every few seconds a line, else nothing.
    fn line(&self) -> Option<String> {
        if !self.ticks.is_multiple_of(LINE_EVERY) {
            return None;
        }
        let Self { progress, second, .. } = self;
        let mut line = format!(
            "{} {} / {} {}: {}/s good, {}/s refused, {}/s failed, p50 {} ms, p99 {} ms, {} orders",
            self.name,
            clock(progress.elapsed.as_secs_f64()),
            clock(self.seconds),
            self.state(),
            count(second.good),
            count(second.refused),
            count(second.failed),
            figure(second.p50_ms),
            figure(second.p99_ms),
            count(progress.accepted)
        );
        if progress.open_streams > 0 {
            line.push_str(&format!(", {} streams", count(progress.open_streams as u64)));
        }
        if let Some(latest) = self.latest {
            let Latest { platform, postgres, .. } = latest;
            line.push_str(&format!(", {platform:.2} + {postgres:.2} cores"));
        }
        line.push('\n');
        Some(line)
    }

    fn lines(&self) -> Vec<String> {
        let Self { progress, second, .. } = self;
        let elapsed = progress.elapsed.as_secs_f64();
        let part = (elapsed / self.seconds.max(1e-9)).clamp(0.0, 1.0);
        let full = (part * BAR as f64).round() as usize;
        let mut lines = vec![
            format!("  {} · {}", self.name, self.load),
            format!(
                "  {}{}  {} / {}  {}",
                "█".repeat(full),
                "░".repeat(BAR - full),
                clock(elapsed),
                clock(self.seconds),
                self.state()
            ),
            format!(
                "  requests   {:>9}/s good {:>9}/s refused {:>9}/s failed {:>12} altogether",
                count(second.good),
                count(second.refused),
                count(second.failed),
                count(progress.requests)
            ),
            format!(
                "  latency    {:>9} ms p50 {:>8} ms p99 {:>23} orders",
                figure(second.p50_ms),
                figure(second.p99_ms),
                count(progress.accepted)
            ),
        ];
        if let Some(latest) = self.latest {
            lines.push(format!(
                "  cores      {:>9.2} platform {:>6.2} PostgreSQL {:>6.2} generator",
                latest.platform, latest.postgres, latest.generator
            ));
            lines.push(format!(
                "  memory     {:>6} MiB platform {:>6} MiB PostgreSQL",
                count(latest.platform_mib as u64),
                count(latest.postgres_mib as u64)
            ));
        }
        lines.push(format!(
            "  now        {:>9} users {:>9} streams   so far {} refused, {} failed",
            count(progress.users as u64),
            count(progress.open_streams as u64),
            count(progress.refused),
            count(progress.failed)
        ));
        lines.push(format!("  good/s     {}", plot(&self.rates)));
        lines
    }
}

/// A small plot from 0 to the highest.
fn plot(rates: &VecDeque<u64>) -> String {
    let most = rates.iter().copied().max().unwrap_or_default().max(1);
    let height = |rate: &u64| HEIGHTS[(rate * (HEIGHTS.len() as u64 - 1)).div_ceil(most) as usize];
    rates.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A terminal that somebody has stopped.
    struct Stopped {
        go_on: Receiver<()>,
        seen: Arc<Mutex<String>>,
    }

    impl io::Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go_on.recv().unwrap();
            self.seen.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_that_does_not_read_holds_nobody_up() {
        let (show, shown) = sync_channel(1);
        let (go, go_on) = sync_channel(8);
        let seen = Arc::new(Mutex::new(String::new()));
        let mut out = Stopped { go_on, seen: seen.clone() };
        let artist = thread::spawn(move || draw_all(&shown, &mut out));
        // It takes the first one and is stuck in it, one waits, and all others are left out.
        show.send(Shown::Line("1 ".to_owned())).unwrap();
        show.send(Shown::Line("2 ".to_owned())).unwrap();
        let left_out =
            (3..100).filter(|number| show.try_send(Shown::Line(format!("{number} "))).is_err()).count();
        assert_eq!(left_out, 97);
        for _ in 0..2 {
            go.send(()).unwrap();
        }
        drop(show);
        artist.join().unwrap();
        assert_eq!(*seen.lock().unwrap(), "1 2 ");
    }

    fn picture() -> Picture {
        let mut picture = Picture::new("steady", "64 clients", 20.0);
        let progress = Progress {
            elapsed: Duration::from_secs(10),
            measuring: true,
            requests: 12_345,
            accepted: 999,
            ..Progress::default()
        };
        for good in [0, 50, 100] {
            let second = Second { good, p50_ms: 1.5, p99_ms: 22.0, ..Second::default() };
            picture.look(progress, Some(second), Some(Latest::default()));
        }
        picture
    }

    #[test]
    fn a_picture_is_drawn_over_the_last_one_and_fits_the_terminal() {
        let (picture, mut drawn) = (picture(), 0);
        let first = draw(&picture.lines(), &mut drawn, 100);
        assert!(
            !first.starts_with("\x1b[") && first.contains("measuring") && first.contains("▁▅█"),
            "{first}"
        );
        let second = draw(&picture.lines(), &mut drawn, 60);
        assert!(second.starts_with(&format!("\x1b[{drawn}A")));
        assert!(second.lines().all(|line| line.chars().filter(|c| !c.is_control()).count() < 60 + 4));
        let half = "█".repeat(BAR / 2) + &"░".repeat(BAR / 2);
        assert!(first.contains(&half));
    }

    #[test]
    fn without_a_terminal_there_is_a_line_now_and_then() {
        let mut picture = picture();
        assert_eq!(picture.line(), None, "the third second");
        picture.ticks = 5;
        let line = picture.line().unwrap();
        assert!(
            line.starts_with("steady 0:10 / 0:20 measuring: 100/s good") && line.ends_with('\n'),
            "{line}"
        );
    }
}
