//! The mock scheme binds signers and statements, and the core runs with the real one.

use super::{
    net::parameters,
    objects::{epoch, validators},
};
use crate::{Config, Core, Input, Output, To, Votes, mock::MockScheme};
use chorale_types::{
    Bls, ChainId, Claim, ConsensusSecret, Epoch, EpochInfo, Rank, RankKind, Scheme, Signatories, Signature, Signers,
    Statement, TimestampMs, ValidatorIndex, View, codec::List, tagged_hash,
};
use proptest::prelude::*;
use std::collections::VecDeque;

fn statement(view: u64, parent: u64) -> Statement {
    Statement::Timeout { view: View(view), rank: Rank { view: View(1), kind: RankKind::Voted, parent: View(parent) } }
}

fn holds(info: &EpochInfo, signers: &Signers, statement: Statement, signature: &Signature) -> bool {
    let claim = Claim { signatories: Signatories::All(signers), statement, signature };
    MockScheme::new(ValidatorIndex(0)).verify(info.chain, info.epoch, &info.validators, &[claim])
}

proptest! {
    #[test]
    fn an_aggregate_holds_for_its_signers_and_statement_only(
        by in proptest::collection::btree_set(0u16..10, 1..10),
        other in proptest::collection::btree_set(0u16..10, 1..10),
        view in 0u64..100,
        off in 1u64..100,
    ) {
        let info = EpochInfo { validators: validators(&[1; 10]), ..epoch(&[1], 9) };
        let sign = |by: &u16| {
            MockScheme::new(ValidatorIndex(*by)).sign(info.chain, info.epoch, &statement(view, 0))
        };
        let signatures: Vec<Signature> = by.iter().map(sign).collect();
        let sum = MockScheme::new(ValidatorIndex(0)).aggregate(&signatures).unwrap();
        let signers = Signers::of(10, by.iter().copied().map(ValidatorIndex));
        prop_assert!(holds(&info, &signers, statement(view, 0), &sum));
        prop_assert!(!holds(&info, &signers, statement(view + off, 0), &sum));
        prop_assert!(!holds(&info, &signers, statement(view, off), &sum));
        let others = Signers::of(10, other.iter().copied().map(ValidatorIndex));
        prop_assert_eq!(holds(&info, &others, statement(view, 0), &sum), by == other);
        let elsewhere = EpochInfo { chain: ChainId(tagged_hash("elsewhere", &[])), ..info.clone() };
        prop_assert!(!holds(&elsewhere, &signers, statement(view, 0), &sum));
        let later = EpochInfo { epoch: Epoch(1), ..info };
        prop_assert!(!holds(&later, &signers, statement(view, 0), &sum));
    }
}

#[test]
fn garbage_is_no_point_of_the_group() {
    assert_eq!(MockScheme::new(ValidatorIndex(0)).aggregate(&[Signature::NONE]), None);
}

#[test]
fn the_core_commits_with_the_production_scheme() {
    let info = epoch(&[1; 4], u64::MAX);
    let core = |index: u16| {
        let seed = tagged_hash("test/key", &[&usize::from(index).to_be_bytes()]);
        let scheme = Bls::signer(ConsensusSecret::from_seed(seed.0));
        let index = Some(ValidatorIndex(index));
        let config = Config { parameters: parameters(Votes::All), index, committed: info.start, may_sign: true };
        Core::new(config, info.clone(), scheme, None, Vec::new())
    };
    let mut cores: Vec<Core<Bls>> = (0..4).map(core).collect();
    let mut inputs: VecDeque<(u16, Input)> = (0..4).map(|index| (index, Input::Start)).collect();
    while cores.iter().any(|core| core.committed().height.0 < 3) {
        let (to, input) = inputs.pop_front().unwrap();
        for output in cores[usize::from(to)].step(input, TimestampMs(1000)) {
            let from = ValidatorIndex(to);
            match output {
                Output::Send { to: recipient, message } => {
                    let is_for = |other: &u16| recipient == To::All || recipient == To::One(ValidatorIndex(*other));
                    for other in (0..4).filter(|other| *other != to).filter(is_for) {
                        inputs.push_back((other, Input::Message { from, message: message.clone() }));
                    }
                }
                Output::WantContent { view, .. } => {
                    inputs.push_back((to, Input::Content { view, payloads: List::default() }));
                }
                Output::Misbehaviour { .. } | Output::Evidence(_) => panic!("{output:?}"),
                _ => {}
            }
        }
    }
}
