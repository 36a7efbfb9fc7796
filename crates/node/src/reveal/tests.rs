//! Whom a node asks for what is missing.

use super::exchange::{Exchange, Patience};
use crate::{
    dispersal::{keys::assignment_of, message::Wants},
    tests::cluster::first_epoch,
};
use chorale_types::{
    Acknowledged, AvailabilityCertificate, BuilderId, Commitment, Signature, Signers, TimestampMs, ValidatorIndex,
    View, tagged_hash,
};
use std::{collections::BTreeSet, sync::Arc};

fn exchange(validators: usize, late: bool) -> Exchange {
    let digest = tagged_hash("test", &[]);
    let acknowledged = Acknowledged {
        builder: BuilderId(digest),
        commitment: Commitment(digest),
        length: 1_000,
        manifest: digest,
        expiry: View(9),
    };
    let signers = Signers::none(validators);
    let certificate = AvailabilityCertificate { acknowledged, signers, signature: Signature::NONE };
    let epoch = Arc::new(first_epoch(validators, 100));
    let patience = Patience { ask_after_ms: 100, ask_interval_ms_max: 1_000 };
    Exchange::new(certificate, &epoch, assignment_of(&epoch), Some(ValidatorIndex(0)), late, TimestampMs(0), patience)
}

/// With one turn for all questions, a round's questions stepped in time with the number of validators, and one that was
/// dead was asked for the manifest for ever.
#[test]
fn everybody_is_asked_for_everything_in_the_end() {
    for (validators, late) in [(4, false), (4, true), (5, false), (7, true)] {
        let mut exchange = exchange(validators, late);
        let mut asked: [BTreeSet<ValidatorIndex>; 3] = Default::default();
        for round in 0..40 {
            for question in exchange.questions(TimestampMs(10_000 * round)) {
                let kind = match question.wants {
                    Wants::Chunks => 0,
                    Wants::Manifest => 1,
                    Wants::Payload => 2,
                };
                asked[kind].insert(question.to);
            }
        }
        let others = validators - 1;
        assert_eq!(asked.map(|asked| asked.len()), [others; 3], "{validators} validators, late: {late}");
    }
}
