//! The canonical codec and ids, on transactions of 512 bytes.

use chorale_types::{
    RollupId, Transaction, Unit,
    codec::{self, Blob, Encode, List},
};
use criterion::{Criterion, Throughput};
use std::hint::black_box;

const UNITS: u64 = 1000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let unit = |number: u64| {
        let mut data = vec![0; 512];
        data[..8].copy_from_slice(&number.to_be_bytes());
        let data = Blob::new(data).expect("512 bytes are below every bound");
        Unit::Transaction(Transaction { rollup: RollupId(number % 3), data })
    };
    let units: List<Unit, 1024> = List::new((0..UNITS).map(unit).collect()).expect("1000 units");
    let bytes = units.encode();
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(UNITS));
    group.bench_function("encode_1000_transactions", |b| b.iter(|| black_box(&units).encode()));
    group.bench_function("decode_1000_transactions", |b| {
        b.iter(|| codec::decode::<List<Unit, 1024>>(black_box(bytes.clone())).expect("encoded above"));
    });
    group.bench_function("hash_1000_transactions", |b| {
        b.iter(|| units.iter().map(Unit::id).fold(0u8, |all, id| all ^ id.digest()[0]));
    });
    group.finish();
}
