//! The state machine of consensus alone, with the mock scheme: what 50 validators in ten regions say to each other while
//! they commit 100 blocks, told to them again without network, disks and judge.

use chorale_sim::{Player, Profile, SimConfig, Step, Tape, Votes};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use std::hint::black_box;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stepper");
    group.sample_size(10);
    for votes in [Votes::Leaders, Votes::All] {
        let config = SimConfig { votes, ..SimConfig::new(Profile::Wan, 1) };
        let tape = Tape::record(&config).expect("nothing fails in this profile");
        group.throughput(Throughput::Elements(tape.messages() as u64));
        group.bench_function(BenchmarkId::new("messages_to_50_validators", votes.to_string()), |b| {
            let start = || (tape.cores(), tape.steps().to_vec());
            let play = |(mut cores, steps): (Vec<Player>, Vec<Step>)| {
                for (node, input, now) in steps {
                    black_box(cores[node].step(input, now));
                }
                // Dropped outside of what is measured.
                cores
            };
            b.iter_batched(start, play, BatchSize::LargeInput);
        });
    }
    group.finish();
}
