//! BLS12-381 certificates: signing, verifying one vote, aggregating and verifying a quorum.

use chorale_types::{
    BlockId, BlockReference, Bls, ChainId, Claim, ConsensusSecret, Epoch, Height, NodeKey, Scheme, Signatories,
    Signature, Signers, Statement, Validator, ValidatorIndex, ValidatorSet, View, tagged_hash,
};
use criterion::{BenchmarkId, Criterion};
use std::hint::black_box;

fn secret(index: u16) -> ConsensusSecret {
    ConsensusSecret::from_seed(tagged_hash("bench/secret", &[&index.to_be_bytes()]).0)
}

fn set(count: u16) -> ValidatorSet {
    let node = |index: u16| NodeKey(tagged_hash("bench/node", &[&index.to_be_bytes()]).0);
    let validator = |index: u16| Validator::new(node(index), secret(index).public(), 1);
    ValidatorSet::new((0..count).map(validator).collect()).expect("distinct keys of weight 1")
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let chain = ChainId(tagged_hash("bench/chain", &[]));
    let id = BlockId(tagged_hash("bench/block", &[]));
    let block = BlockReference { view: View(7), parent: View(6), height: Height(5), id };
    let statement = Statement::Vote { view: View(7), block };
    let mut group = criterion.benchmark_group("certificates");
    for count in [4, 50, 100] {
        let set = set(count);
        let quorum = u16::try_from(set.quorum()).expect("at most 1024");
        let signatures: Vec<Signature> =
            (0..quorum).map(|index| Bls::signer(secret(index)).sign(chain, Epoch(0), &statement)).collect();
        let signers = Signers::of(set.len(), (0..quorum).map(ValidatorIndex));
        let verifier = Bls::verifier();
        let aggregate = verifier.aggregate(&signatures).expect("all are signatures");
        let verify = |signatories: Signatories<'_>, signature: &Signature| {
            let claims = [Claim { signatories, statement, signature }];
            assert!(verifier.verify(chain, Epoch(0), &set, &claims));
        };
        if count == 4 {
            let signer = Bls::signer(secret(0));
            group.bench_function("sign", |b| b.iter(|| signer.sign(chain, Epoch(0), black_box(&statement))));
            group.bench_function("verify_vote", |b| {
                b.iter(|| verify(Signatories::One(ValidatorIndex(0)), black_box(&signatures[0])));
            });
        }
        group.bench_function(BenchmarkId::new("aggregate_quorum", count), |b| {
            b.iter(|| verifier.aggregate(black_box(&signatures)));
        });
        group.bench_function(BenchmarkId::new("verify_quorum", count), |b| {
            b.iter(|| verify(Signatories::All(&signers), black_box(&aggregate)));
        });
    }
    group.finish();
}
