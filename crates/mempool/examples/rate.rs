//! Measures what an entry costs: `cargo run --release -p chorale-mempool --example rate`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures with a clock")]
#![allow(clippy::unwrap_used, reason = "a measurement may stop at the first surprise")]

use chorale_foundation::Bytes;
use chorale_mempool::{Carrier, Config, Entry, Incoming, Mempool, Message, Output, PeerId, Push, Reveal, Source};
use chorale_types::{
    Commitment, Height, Payload, RollupId, TimestampMs, Transaction, Unit, UnitId, View,
    codec::{Blob, Encode, List},
    tagged_hash,
};
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

const ENTRIES: u64 = 400_000;
/// Entries of a height, and of a push.
const BATCH: usize = 400;
/// Heights between arrival and selection: 10,000 entries wait.
const LAG: usize = 25;
const DATA_BYTES: usize = 512;

fn unit(number: u64) -> Unit {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(DATA_BYTES, 0xAB);
    Unit::Transaction(Transaction { rollup: RollupId(1 + number % 8), data: Blob::new(data).unwrap() })
}

fn resident_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) / 1024
}

fn report(what: &str, time: Duration) {
    println!("{what:<44} {:>7} ns per entry", time.as_nanos() / u128::from(ENTRIES));
}

fn pool() -> Mempool {
    let config = Config::new((1..=8).map(RollupId), 4);
    let mut pool = Mempool::new(config, Height(0), TimestampMs(0)).unwrap();
    pool.set_peers((0..3).map(PeerId), TimestampMs(0));
    pool
}

/// The life of all entries, a quarter of them submitted here and the others pushed by peers, as in a network of four.
fn main() {
    let mut pool = pool();
    let [mut decode, mut admit, mut status, mut select, mut claim, mut reveal] = [Duration::ZERO; 6];
    let mut payloads = Vec::new();
    let units: Vec<Unit> = (0..ENTRIES).map(unit).collect();
    for (round, units) in units.chunks(BATCH).enumerate() {
        let now = TimestampMs(round as u64 * 20);
        let ids: Vec<UnitId>;
        if round % 4 == 0 {
            let start = Instant::now();
            let entries: Vec<Entry> = units.iter().cloned().map(Entry::new).collect();
            decode += start.elapsed();
            ids = entries.iter().map(Entry::id).collect();
            let start = Instant::now();
            assert!(pool.submit_batch(entries, Source::Local, now).iter().all(Result::is_ok));
            admit += start.elapsed();
        } else {
            let frame: Bytes = Message::Push(Push { units: List::new(units.to_vec()).unwrap() }).encode();
            ids = units.iter().map(Unit::id).collect();
            let start = Instant::now();
            let incoming = Incoming::decode(frame).unwrap();
            decode += start.elapsed();
            let start = Instant::now();
            pool.receive(PeerId(u32::try_from(round % 4).unwrap() - 1), incoming, now);
            admit += start.elapsed();
        }
        let start = Instant::now();
        assert!(ids.iter().all(|id| pool.status(id).is_some()));
        status += start.elapsed();

        let height = Height(round as u64 + 1);
        if round >= LAG {
            let start = Instant::now();
            let picked = pool.select(1 << 20, BATCH, height, |_| false);
            select += start.elapsed();
            let payload = Commitment(tagged_hash("rate", &[&height.0.to_be_bytes()]));
            let included: Vec<UnitId> = picked.iter().map(Entry::id).collect();
            let units = picked.into_iter().map(Entry::into_unit).collect();
            let manifest = Arc::new(Payload::build(units, [7; 32]).unwrap().1);
            let start = Instant::now();
            pool.manifest_seen(payload, &manifest, Carrier { height, view: View(height.0) }, now);
            pool.certified(&payload, now);
            pool.committed(&payload, now);
            claim += start.elapsed();
            payloads.push((payload, included));
        }
        if let Some((payload, included)) = payloads.len().checked_sub(4).map(|at| payloads[at].clone()) {
            let start = Instant::now();
            pool.revealed(&Reveal { height, payloads: &[payload], included: &included, skipped: &[] }, now);
            reveal += start.elapsed();
        }
        let start = Instant::now();
        pool.tick(now);
        let journaled = pool.drain_outputs().into_iter().filter(|output| matches!(output, Output::Journal(_))).count();
        admit += start.elapsed();
        assert!(journaled <= 2 * BATCH);
    }
    println!("{ENTRIES} entries of {DATA_BYTES} bytes, {} wait on average", BATCH * LAG);
    report("decode and hash", decode);
    report("admit, outputs", admit);
    report("status", status);
    report("select", select);
    report("marks of proposed, certified, committed", claim);
    report("reveal: take out, remember", reveal);
    report("all but decode and hash", admit + status + select + claim + reveal);
    let figures = pool.figures();
    println!("{} pooled, {} remembered", figures.total.entries, figures.remembered);
    drop((units, payloads, pool));
    measure_memory();
}

/// A pool in which every bound is exhausted.
fn measure_memory() {
    let before = resident_mb();
    let mut pool = pool();
    let mut number = 10 * ENTRIES;
    for height in 0..1_400 {
        let ids: Vec<UnitId> = (0..400).map(|at| unit(number + at).id()).collect();
        number += 400;
        pool.revealed(
            &Reveal { height: Height(height), payloads: &[], included: &ids, skipped: &[] },
            TimestampMs(height),
        );
        drop(pool.drain_outputs());
    }
    let remembered = resident_mb();
    println!("{} ordered entries remembered: {} MB resident", pool.figures().remembered, remembered - before);
    while pool.submit(Entry::new(unit(number)), Source::Local, TimestampMs(0)).is_ok() {
        number += 1;
        drop(pool.drain_outputs());
    }
    pool.flush(TimestampMs(0));
    drop(pool.drain_outputs());
    let held = pool.figures().total;
    println!(
        "full with {} entries of {} bytes in all: {} MB resident more",
        held.entries,
        held.bytes,
        resident_mb() - remembered
    );
}
