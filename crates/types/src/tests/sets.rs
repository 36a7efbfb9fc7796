//! Validator sets: weights, thresholds, bitmaps, leaders.

use super::samples::{epoch_info, secret, validators};
use crate::codec::{Encode, decode};
use crate::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn weights_are_exact_where_they_can_be() {
    assert_eq!(quantise(&[]), Vec::<u16>::new());
    assert_eq!(quantise(&[0, 0]), [0, 0]);
    assert_eq!(quantise(&[5]), [1]);
    assert_eq!(quantise(&[32_000_000_000; 7]), [1; 7], "equal stakes");
    assert_eq!(quantise(&[30, 10, 20]), [3, 1, 2]);
    assert_eq!(quantise(&[u128::MAX, u128::MAX]), [1, 1]);
    assert_eq!(quantise(&[u128::MAX, 1]), [1, 0], "dust is no member");
    assert_eq!(quantise(&[1_000_003, 1_000_003, 1]), [1, 1, 0]);
}

#[test]
fn sets_are_checked() {
    let row = |index: u8, weight| Validator::new(NodeKey([index; 32]), secret(index).public(), weight);
    assert_eq!(ValidatorSet::new(Vec::new()).unwrap_err(), ValidatorSetError::Count(0));
    assert_eq!(ValidatorSet::new(vec![row(0, 1), row(1, 0)]).unwrap_err(), ValidatorSetError::Weightless(1));
    assert_eq!(ValidatorSet::new(vec![row(0, 1000), row(1, 25)]).unwrap_err(), ValidatorSetError::TotalWeight(1025));
    assert_eq!(ValidatorSet::new(vec![row(0, 1), row(0, 1)]).unwrap_err(), ValidatorSetError::RepeatedKey(1));
    let same_node = Validator { node: NodeKey([0; 32]), ..row(1, 1) };
    assert_eq!(ValidatorSet::new(vec![row(0, 1), same_node]).unwrap_err(), ValidatorSetError::RepeatedKey(1));
    let set = validators(&[1, 2]);
    assert_eq!(decode::<ValidatorSet>(set.encode()).unwrap(), set);
    let mut weightless = set.encode().to_vec();
    let domains = codec::List::<DomainId, { limits::DOMAINS_MAX }>::default().encode().len();
    let last = weightless.len() - domains - 1;
    weightless[last] = 0;
    assert!(decode::<ValidatorSet>(weightless).is_err());
}

#[test]
fn thresholds_are_those_of_a_third_and_two() {
    for (total, quorum, honest) in [(1, 1, 1), (3, 3, 2), (4, 3, 2), (6, 5, 3), (7, 5, 3), (100, 67, 34)] {
        let set = validators(&[total]);
        assert_eq!((set.quorum(), set.honest()), (quorum, honest), "{total}");
    }
    let set = validators(&[3, 1, 1, 1]);
    let signers = |members: &[u16]| Signers::of(4, members.iter().copied().map(ValidatorIndex));
    assert!(set.is_quorum(&signers(&[0, 1, 2])));
    assert!(!set.is_quorum(&signers(&[0, 1])));
    assert!(!set.is_quorum(&Signers::of(5, (0..5).map(ValidatorIndex))), "a bitmap of another set");
    assert_eq!(set.weight(ValidatorIndex(4)), 0);
}

#[test]
fn who_attests_a_domain_has_a_quorum_of_its_own() {
    let domain = DomainId(7);
    let row = |index: u8, weight, domains: &[u64]| {
        let domains = domains.iter().copied().map(DomainId).collect();
        let validator = Validator::new(NodeKey([index; 32]), secret(index).public(), weight);
        Validator { domains: codec::List::new(domains).unwrap(), ..validator }
    };
    let set = ValidatorSet::new(vec![row(0, 3, &[7]), row(1, 1, &[7, 9]), row(2, 1, &[9]), row(3, 2, &[7])]).unwrap();
    let signers = |members: &[u16]| Signers::of(4, members.iter().copied().map(ValidatorIndex));
    assert_eq!((set.total_of(domain), set.quorum_of(domain)), (6, 5));
    assert_eq!((set.total_of(DomainId::ORDERING), set.quorum_of(DomainId::ORDERING)), (7, set.quorum()));
    assert_eq!(set.weight_in(domain, &signers(&[0, 3])), Some(5));
    assert_eq!(set.weight_in(domain, &signers(&[0, 2, 3])), None, "validator 2 does not attest it");
    assert_eq!(set.weight_in(domain, &Signers::of(5, [])), None, "a bitmap of another set");
    assert_eq!((set.total_of(DomainId(8)), set.quorum_of(DomainId(8))), (0, 1), "nobody is no quorum");
    let wrong = |domains| ValidatorSet::new(vec![row(0, 1, domains)]).unwrap_err();
    for domains in [&[9, 7][..], &[7, 7], &[0, 7]] {
        assert_eq!(wrong(domains), ValidatorSetError::Domains(0), "{domains:?}");
    }
    assert_eq!(decode::<ValidatorSet>(set.encode()).unwrap(), set);
}

#[test]
fn two_quorums_share_an_honest_validator() {
    for total in 1..=1024u64 {
        let quorum = 2 * total / 3 + 1;
        // Less than a third.
        let faulty = (total - 1) / 3;
        assert!(2 * quorum > total + faulty, "{total}");
        assert!(quorum <= total - faulty, "{total}: the honest alone are a quorum");
    }
}

#[test]
fn leaders_are_drawn_by_weight() {
    let info = epoch_info(&[1, 2, 5]);
    let mut counts = [0u32; 3];
    for view in 1..=8_000 {
        counts[info.leader(View(view)).as_usize()] += 1;
    }
    for (count, weight) in counts.into_iter().zip([1_000u32, 2_000, 5_000]) {
        assert!(count.abs_diff(weight) < 150, "{counts:?}");
    }
    let later = EpochInfo { epoch: Epoch(1), ..info.clone() };
    assert!((1..100).any(|view| info.leader(View(view)) != later.leader(View(view))));
    let other = EpochInfo { chain: ChainId(merkle_root(&[])), ..info.clone() };
    assert!((1..100).any(|view| info.leader(View(view)) != other.leader(View(view))));
}

proptest! {
    #[test]
    fn weights_follow_stakes(stakes in proptest::collection::vec(0u128..1 << 100, 1..60)) {
        let weights = quantise(&stakes);
        prop_assert_eq!(weights.len(), stakes.len());
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        prop_assert!(total <= 1024);
        let sum: u128 = stakes.iter().sum();
        for (stake, weight) in stakes.iter().zip(&weights) {
            if total > 0 {
                // Within one unit of the exact share.
                let exact = *stake as f64 * total as f64 / sum as f64;
                prop_assert!((f64::from(*weight) - exact).abs() <= 1.01, "{} instead of {}", weight, exact);
            }
        }
        for (a, b) in stakes.iter().zip(&weights) {
            for (c, d) in stakes.iter().zip(&weights) {
                prop_assert!(a <= c || b >= d, "more stake, less weight");
            }
        }
    }

    #[test]
    fn signers_are_a_set(members in proptest::collection::btree_set(0u16..300, 0..40), other in proptest::collection::btree_set(0u16..300, 0..40)) {
        let signers = |members: &BTreeSet<u16>| Signers::of(300, members.iter().copied().map(ValidatorIndex));
        let (one, two) = (signers(&members), signers(&other));
        prop_assert_eq!(one.count(), members.len());
        prop_assert!(one.iter().map(|index| index.0).eq(members.iter().copied()));
        prop_assert_eq!(one.is_disjoint(&two), members.is_disjoint(&other));
        let again: Signers = decode(one.encode()).unwrap();
        prop_assert_eq!(&again, &one);
        prop_assert_eq!(one == two, members == other);
        prop_assert!(!one.contains(ValidatorIndex(300)));
    }

    #[test]
    fn bits_beyond_the_set_are_refused(validators in 1u16..64, bit in 0u16..64) {
        let mut bytes = Signers::none(usize::from(validators)).encode().to_vec();
        if usize::from(bit / 8) + 2 < bytes.len() {
            bytes[2 + usize::from(bit / 8)] |= 1 << (bit % 8);
            prop_assert_eq!(decode::<Signers>(bytes).is_ok(), bit < validators);
        }
    }
}
