//! The simulator's own parts.

use crate::{Clock, Delays, Latency, Network, Plan, Profile, Queue, Random, Regions, SimConfig, Stakes, Weather};
use chorale_types::TimestampMs;

#[test]
fn events_come_by_time_and_then_in_order() {
    let mut queue = Queue::new();
    for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
        queue.at(at, event);
    }
    assert_eq!(queue.take(), Some('a'));
    queue.at(0, 'x');
    let order: String = std::iter::from_fn(|| queue.take()).collect();
    assert_eq!(order, "bxcd", "what is scheduled in the past happens now");
    assert_eq!(queue.now(), 5);
}

#[test]
fn a_clock_shows_a_time_first_at_its_moment() {
    let mut random = Random::new(1, "clocks");
    for _ in 0..1000 {
        let offset_us = i64::try_from(random.below(400_000)).unwrap() - 200_000;
        let drift_ppm = i64::try_from(random.below(1000)).unwrap() - 500;
        let clock = Clock { offset_us, drift_ppm };
        let time = TimestampMs(clock.read(0).0 + 1 + random.below(1_000_000));
        let when = clock.when(time);
        assert!(clock.read(when) >= time && clock.read(when - 1) < time, "{clock:?} {time} {when}");
    }
}

#[test]
fn the_table_of_regions_is_whole() {
    let table = Regions::aws();
    assert_eq!(table.names.len(), 10);
    for row in table.p50.iter().zip(&table.p90) {
        assert!(row.0.len() == 10 && row.1.len() == 10);
        assert!(row.0.iter().zip(row.1).all(|(median, slow)| 0.0 < *median && median <= slow));
    }
    // California to Sydney, half of 139.126 ms.
    assert_eq!(table.one_way(0, 9).0, 69_563);
}

#[test]
fn links_are_first_in_first_out_unless_the_weather_says_otherwise() {
    let weather = Weather { late: 300, late_us_max: 50_000, ..Weather::default() };
    let arrivals = |weather: Weather| -> Vec<u64> {
        let mut network = Network::new(2, Latency::Uniform { min: 10, max: 20 }, weather, Random::new(3, "network"));
        (0..200).filter_map(|now| network.arrivals(0, 1, now)[0]).collect()
    };
    assert!(arrivals(weather).is_sorted());
    assert!(!arrivals(Weather { reordering: true, ..weather }).is_sorted());
    assert_eq!(arrivals(Weather { loss: 1000, ..weather }), Vec::<u64>::new());
}

#[test]
fn cut_links_lose_everything_in_one_direction() {
    let mut network = Network::new(2, Latency::Fixed(7), Weather::default(), Random::new(3, "network"));
    network.set_cut(0, 1, true);
    assert_eq!(network.arrivals(0, 1, 0), [None, None]);
    assert_eq!(network.arrivals(1, 0, 0), [Some(7), None]);
    network.heal();
    assert_eq!(network.arrivals(0, 1, 1), [Some(8), None]);
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    let delays = Delays::of((1..=200).map(|ms| ms * 1000).collect());
    assert_eq!((delays.count, delays.p50_ms, delays.p99_ms, delays.max_ms), (200, 100.0, 198.0, 200.0));
    assert_eq!(Delays::of(Vec::new()), Delays::default());
}

#[test]
fn no_plan_lets_more_fail_than_may() {
    for seed in 0..300 {
        for stakes in [Stakes::Equal, Stakes::Unequal, Stakes::Third] {
            let validators = 4 + usize::try_from(seed % 5).unwrap();
            let config = SimConfig { validators, stakes, ..SimConfig::new(Profile::Adversarial, seed) };
            let plan = Plan::draw(&config);
            let total: u64 = plan.weights.iter().map(|weight| u64::from(*weight)).sum();
            let turns = if plan.epoch_heights == 0 { 1 } else { validators };
            for turn in 0..turns {
                let weight_of = |node: &usize| u64::from(plan.weights[(node + turn) % validators]);
                let faulty: u64 = plan.byzantine.keys().chain(&plan.forgetful).chain(&plan.dead).map(weight_of).sum();
                assert!(3 * faulty < total, "{faulty} of {total} may fail under seed {seed}");
            }
        }
    }
}

#[test]
fn one_validator_has_just_under_a_third() {
    for validators in [4, 7, 50, 200] {
        let config = SimConfig { validators, stakes: Stakes::Third, ..SimConfig::new(Profile::Lan, 1) };
        let weights = Plan::draw(&config).weights;
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let largest = u64::from(*weights.iter().max().unwrap());
        assert!(total <= 1024 && 3 * largest < total && 3 * (largest + 1) >= total, "{largest} of {total}");
    }
}

#[test]
fn names_of_choices_are_read_back() {
    for profile in Profile::ALL {
        assert_eq!(profile.to_string().parse(), Ok(profile));
    }
    let error = "moon".parse::<Profile>().unwrap_err().to_string();
    assert_eq!(error, "no profile is called `moon`; there are lan, wan, crashed, faulty, adversarial");
}
