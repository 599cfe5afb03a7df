//! Clocks that jump: libfaketime, which is put before the C library and reads how wrong the clock is from a file.
//!
//! Debian, Ubuntu: `apt install libfaketime`. `VISCOUNT_FAKETIME` names the library where it is elsewhere.
//!
//! It turns deadlines of `pthread_cond_timedwait`, which are wall-clock times, back into true ones; but not those of
//! C11's `cnd_timedwait`, by which librdkafka waits. A client whose clock is ten minutes before would wait ten minutes for
//! each of its timers. So this is handed on, by a few lines of C: a C compiler is needed as well.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// In the C library both are the same, on the same objects.
const WAITS: &str = "\
#include <errno.h>
#include <pthread.h>
#include <threads.h>
int cnd_timedwait(cnd_t *cond, mtx_t *mutex, const struct timespec *until) {
    switch (pthread_cond_timedwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex, until)) {
    case 0: return thrd_success;
    case ETIMEDOUT: return thrd_timedout;
    default: return thrd_error;
    }
}
";

/// Where distributions keep it.
const PLACES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib64/faketime",
    "/usr/lib/faketime",
];
/// The one for programs with many threads first.
const NAMES: [&str; 2] = ["libfaketimeMT.so.1", "libfaketime.so.1"];

/// The library, where it is installed.
pub fn library() -> Option<PathBuf> {
    let named = std::env::var_os("VISCOUNT_FAKETIME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let installed = || PLACES.iter().flat_map(|place| NAMES.map(|name| Path::new(place).join(name)));
    named.or_else(|| installed().find(|library| library.is_file()))
}

/// Builds what hands C11's waits on, in this folder.
pub fn waits(folder: &Path) -> io::Result<PathBuf> {
    let (source, built) = (folder.join("waits.c"), folder.join("waits.so"));
    std::fs::write(&source, WAITS)?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&built).arg(&source);
    match cc.output() {
        Ok(output) if output.status.success() => Ok(built),
        Ok(output) => {
            Err(io::Error::other(format!("cc: {}", String::from_utf8_lossy(&output.stderr).trim())))
        }
        Err(error) => Err(io::Error::other(format!("clocks can jump with a C compiler alone: cc: {error}"))),
    }
}

/// What a process has to be told so that its wall clock is as wrong as the file says, such as `+600` or `-10m`, and may be
/// told otherwise while it runs. Clocks that only measure time go right.
pub fn variables(waits: &Path, library: &Path, file: &Path) -> [(&'static str, String); 4] {
    [
        ("LD_PRELOAD", format!("{}:{}", waits.display(), library.display())),
        ("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy().into_owned()),
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Waits for a fifth of a second as librdkafka does.
    const WAITER: &str = "\
#include <stdio.h>
#include <sys/time.h>
#include <threads.h>
int main(void) {
    cnd_t cond;
    mtx_t mutex;
    struct timeval now;
    cnd_init(&cond);
    mtx_init(&mutex, mtx_plain);
    mtx_lock(&mutex);
    gettimeofday(&now, NULL);
    struct timespec until = {now.tv_sec + (now.tv_usec + 200000) / 1000000, (now.tv_usec + 200000) % 1000000 * 1000};
    int waited = cnd_timedwait(&cond, &mutex, &until);
    printf(\"%ld\", (long)now.tv_sec);
    return waited == thrd_timedout ? 0 : 1;
}
";

    #[test]
    fn who_waits_by_a_wrong_clock_waits_as_long_as_by_a_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let (Some(library), Ok(waits)) = (library(), waits(folder.path())) else {
            eprintln!("left out: there is no libfaketime, or no C compiler");
            return;
        };
        let (source, program) = (folder.path().join("waiter.c"), folder.path().join("waiter"));
        std::fs::write(&source, WAITER).unwrap();
        assert!(Command::new("cc").arg(&source).arg("-o").arg(&program).status().unwrap().success());
        let clock = folder.path().join("clock");
        for (shift, off) in [("+600", 600), ("-600", -600), ("+0", 0)] {
            std::fs::write(&clock, shift).unwrap();
            let mut waiter = Command::new(&program);
            waiter.envs(variables(&waits, &library, &clock)).stdout(std::process::Stdio::piped());
            let (began, now) = (Instant::now(), jiff::Timestamp::now().as_second());
            let mut waiter = waiter.spawn().unwrap();
            let mut ended = None;
            while ended.is_none() && began.elapsed() < Duration::from_secs(10) {
                ended = waiter.try_wait().unwrap();
                std::thread::yield_now();
            }
            waiter.kill().unwrap();
            let said = waiter.wait_with_output().unwrap().stdout;
            assert!(ended.is_some_and(|status| status.success()), "{shift}: it still waits");
            assert!(began.elapsed() >= Duration::from_millis(200), "{shift}: it did not wait");
            let said: i64 = String::from_utf8(said).unwrap().parse().unwrap();
            assert!((said - now - off).abs() < 10, "{shift}: it said {said} at {now}");
        }
    }
}
