//! Sealing, checking and opening payloads.

use chorale_dispersal::{Assignment, Opening, seal};
use chorale_types::{BuilderId, Epoch, ValidatorIndex, View, tagged_hash};
use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;

const MIB: usize = 1024 * 1024;

pub(crate) fn bench(criterion: &mut Criterion) {
    let builder = BuilderId(tagged_hash("bench/builder", &[]));
    let payload = vec![7; MIB];
    let mut group = criterion.benchmark_group("dispersal_1_mib");
    group.throughput(Throughput::Bytes(MIB as u64));
    group.sample_size(20);
    for validators in [4u16, 16, 50, 100] {
        let assignment = Assignment::new(Epoch(0), &vec![1; validators.into()]).expect("weights of 1");
        let sealed = seal(&payload, &[7; 32], builder, View(9), &assignment).expect("a mebibyte is below the limit");
        let chunks: Vec<_> =
            (0..validators).rev().filter_map(|index| sealed.chunks_of(ValidatorIndex(index))).collect();
        group.bench_function(BenchmarkId::new("seal", validators), |b| {
            b.iter(|| seal(black_box(&payload), &[7; 32], builder, View(9), &assignment));
        });
        group.bench_function(BenchmarkId::new("check_own_chunks", validators), |b| {
            b.iter(|| black_box(&chunks[0]).check(&sealed.reference(), &assignment));
        });
        group.bench_function(BenchmarkId::new("open_from_recovery_chunks", validators), |b| {
            b.iter(|| {
                let mut opening = Opening::new(sealed.reference(), assignment.clone());
                for chunks in &chunks {
                    opening.add(chunks.validator, chunks).expect("made above");
                }
                opening.open().expect("all chunks are there")
            });
        });
    }
    group.finish();
}
