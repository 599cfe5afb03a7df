//! Who used what is told as it should be.

#![allow(clippy::unwrap_used)]

use super::*;

fn usage(samples: &[(u64, f64, f64)]) -> (Usage, Instant) {
    let start = Instant::now();
    let sample = |(seconds, cpu, memory): &(u64, f64, f64)| Sample {
        at: start + Duration::from_secs(*seconds),
        cpu: vec![*cpu],
        memory: vec![Some(*memory)],
        load: *cpu,
        machine: Machine { used: *cpu * 3.0, stolen: *cpu * 0.5 },
    };
    (Usage { names: vec!["orders".to_owned()], samples: samples.iter().map(sample).collect() }, start)
}

#[test]
fn a_stretch_of_time_has_its_share() {
    let (usage, start) = usage(&[(0, 0.0, 10.0), (1, 0.8, 30.0), (2, 1.0, 20.0)]);
    let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
    let used = usage.cpu(0, at(0.5), at(1.5));
    assert!((used - 0.5).abs() < 1e-9, "{used}");
    assert!((usage.busy(at(0.0), at(2.0)) - 0.5).abs() < 1e-9);
    assert!((usage.cpu(0, at(1.0), at(60.0)) - 0.2).abs() < 1e-9, "nothing is made up beyond the last look");
    assert!((usage.others(at(0.0), at(2.0)) - 1.0).abs() < 1e-9, "two thirds of 3 s in 2 s");
    assert!((usage.stolen(at(0.0), at(2.0)) - 0.25).abs() < 1e-9, "half a second in two");
    assert_eq!(usage.most_memory(0, at(0.0), at(2.0)), Some(30.0));
    assert_eq!(usage.memory(0, at(1.5)), Some(20.0));
    assert_eq!(usage.cpu(7, at(0.0), at(2.0)), 0.0);
}

#[test]
fn what_is_asked_for_now_goes_up_to_now() {
    let sampler = Sampler::start(Components::default());
    let from = Instant::now();
    let used = || processes::process(std::process::id()).unwrap().cpu;
    let before = used();
    while used() - before < 0.1 {}
    let to = Instant::now();
    let usage = sampler.usage();
    let generator = usage.names().iter().position(|name| name == GENERATOR).unwrap();
    assert!(to.duration_since(from) < EVERY || usage.samples.len() > 2);
    assert!(usage.samples.last().unwrap().at >= to, "nothing of it is missing");
    assert!(usage.cpu(generator, from, to) >= 0.05, "{}", usage.cpu(generator, from, to));
}

#[test]
fn what_threads_do_not_tell_is_no_sum_of_accidents() {
    let mut rest = Rest { first: 5.0, whole: 5.0, told: 0.0 };
    // The threads are seen a tick too early and a tick too late in turn.
    for look in 1..=100 {
        let whole = 5.0 + f64::from(look);
        let told = if look % 2 == 0 { 1.01 } else { 0.99 };
        rest.look(whole, told);
    }
    assert!(rest.now() < 1e-6, "{}", rest.now());
    rest.look(107.0, 1.0);
    assert!((rest.now() - 1.0).abs() < 1e-6, "a thread used a second, and ended");
}

#[test]
fn threads_are_told_apart_and_nothing_is_counted_twice() {
    let own = std::process::id();
    let components =
        Components { shared: vec![own], services: vec!["worker".to_owned()], ..Components::default() };
    let (go, gone) = (sync_channel::<()>(0), sync_channel::<()>(0));
    let usage = Mutex::new(Usage::default());
    let mut looker = Looker::new(components);
    let worker = std::thread::Builder::new().name("worker-1".to_owned()).spawn(move || {
        go.1.recv().unwrap();
        let used = || {
            let all = processes::threads(own);
            all.into_iter().find(|(_, stat)| stat.name == "worker-1").map_or(0.0, |(_, stat)| stat.cpu)
        };
        while used() < 0.2 {}
        gone.0.send(()).unwrap();
        go.1.recv().unwrap();
    });
    looker.look(&usage);
    let whole_before = processes::process(own).unwrap().cpu;
    go.0.send(()).unwrap();
    gone.1.recv().unwrap();
    looker.look(&usage);
    let whole = processes::process(own).unwrap().cpu - whole_before;
    go.0.send(()).unwrap();
    worker.unwrap().join().unwrap();
    assert!(looker.used["worker"] > 0.15, "{:?}", looker.used);
    let rest: f64 = looker.rests.values().map(Rest::now).sum();
    let told = looker.used["worker"] + looker.used[PLATFORM] + rest;
    assert!(told <= whole + 0.1, "{told} of {whole}");
}
