//! Seeded simulation of two machines: traffic both ways; crashes between any two steps, with and
//! without loss of power; partitions, breaks and delays; failing, full and lying disks; clocks that
//! jump; machines set back to an earlier state; a man in the middle; a hostile peer. After every
//! storm a look at everything that was promised.
//!
//! One thread and paused time for each seed: a seed replays. `LIAISON_SIM_SEEDS=N` runs N of them,
//! `LIAISON_SIM_FIRST=N` begins at N; a failure prints the line that runs its seed again.

mod checker;
mod dice;
mod disk;
mod faults;
mod hostile_world;
mod life;
mod machine;
mod mutants;
mod notary;
mod partition;
mod points;
mod run;
mod traffic;
mod wire;
mod world;

use std::time::Instant;

/// Seeds of a normal run.
const SEEDS: u64 = 2_000;

/// Seeds that found something once, each with a word on what it was. They run first.
const FOUND: &str = include_str!("seeds.txt");

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |number| {
        number
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

fn found_before() -> Vec<u64> {
    let lines = FOUND.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_whitespace().next())
        .map(|seed| seed.parse().expect("a line begins with its seed"))
        .collect()
}

#[test]
fn no_storm_loses_doubles_or_forks_anything() {
    let seeds = from_environment("LIAISON_SIM_SEEDS", SEEDS);
    let first = from_environment("LIAISON_SIM_FIRST", 0);
    let mut all = if seeds > 1 {
        found_before()
    } else {
        Vec::new()
    };
    all.extend(first..first + seeds);
    let began = Instant::now();
    let figures = run::run_all(&all);
    let seconds = began.elapsed().as_secs_f32();
    println!("{} seeds in {seconds:.1} s: {}", all.len(), figures.line());
    if seeds >= 1_000 {
        assert!(figures.crashes > 10 * seeds && figures.sessions > 5 * seeds);
        assert!(figures.told > 10 * seeds && figures.notes > seeds);
        assert!(figures.rollbacks > 0 && figures.liars > 0 && figures.holds > 0);
        assert!(figures.expressed > 0 && figures.failures > 0 && figures.full > 0);
    }
}

#[test]
fn a_seed_replays_to_the_byte() {
    for seed in 90..100 {
        let (first, second) = (run::run(seed, None), run::run(seed, None));
        let (first, second) = (first.unwrap().1, second.unwrap().1);
        for (at, pair) in first.iter().zip(&second).enumerate() {
            assert_eq!(pair.0, pair.1, "seed {seed}, frame {at}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
