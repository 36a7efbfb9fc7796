use super::{EXPIRY, builder, weight};
use crate::{Assignment, OpenError, Opened, ValidatorChunks, mocks, open, seal};
use chorale_types::{
    Epoch, ValidatorIndex,
    codec::{Encode, decode},
};
use proptest::{collection::vec, prelude::*, sample::subsequence};

/// Random sets with random members of them.
fn sets() -> impl Strategy<Value = (Assignment, Vec<ValidatorIndex>)> {
    vec(0u16..=60, 1..=16)
        .prop_filter_map("nobody has weight", |weights| Assignment::new(Epoch(3), &weights).ok())
        .prop_flat_map(|assignment| {
            let all: Vec<_> = assignment.indices().collect();
            (Just(assignment), subsequence(all.clone(), 0..=all.len()).prop_shuffle())
        })
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..200), vec(any::<u8>(), 0..5_000), vec(any::<u8>(), 0..=100_000)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn open_undoes_seal_for_exactly_the_sets_above_a_third(
        (assignment, members) in sets(), payload in payloads(), key: [u8; 32],
    ) {
        let sealed = seal(&payload, &key, builder("b"), EXPIRY, &assignment).unwrap();
        let sent = members.iter().filter_map(|member| sealed.chunks_of(*member));
        let received: Vec<ValidatorChunks> = sent.map(|chunks| decode(chunks.encode()).unwrap()).collect();
        let result = open(&sealed.reference(), &assignment, &received);
        let have = weight(&assignment, &members);
        if have * 3 > assignment.total() {
            prop_assert_eq!(result, Ok(Opened { payload: payload.into(), key }));
        } else {
            prop_assert_eq!(result, Err(OpenError::NotYet { have, needed: assignment.needed() }));
        }
    }

    #[test]
    fn bad_encodings_are_malformed_for_every_set_above_a_third(
        (assignment, members) in sets(), payload in vec(any::<u8>(), 0..2_000), key: [u8; 32], index: prop::sample::Index,
    ) {
        prop_assume!(assignment.total() > 1 && weight(&assignment, &members) >= assignment.needed());
        let index = u16::try_from(index.index(assignment.total().into())).unwrap();
        let sealed = mocks::seal_bad_encoding(&payload, &key, builder("b"), EXPIRY, &assignment, index).unwrap();
        let sent: Vec<_> = members.iter().filter_map(|member| sealed.chunks_of(*member)).collect();
        let result = open(&sealed.reference(), &assignment, &sent);
        prop_assert_eq!(result, Err(OpenError::Malformed(crate::Malformed::NotACodeword)));
    }

    #[test]
    fn no_bytes_panic_the_decoder_or_the_check(
        bytes in vec(any::<u8>(), 0..600), (assignment, _) in sets(),
    ) {
        if let Ok(chunks) = decode::<ValidatorChunks>(bytes) {
            prop_assert!(chunks.check(&chunks.reference, &assignment).is_err());
        }
    }

    #[test]
    fn no_change_of_a_message_passes(
        (assignment, _) in sets(), key: [u8; 32], validator: prop::sample::Index, at: prop::sample::Index, byte: u8,
    ) {
        let sealed = seal(b"some payload", &key, builder("b"), EXPIRY, &assignment).unwrap();
        let senders: Vec<_> = assignment.indices().filter_map(|it| sealed.chunks_of(it)).collect();
        let chunks = validator.get(&senders);
        let mut bytes = chunks.encode().to_vec();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(tampered) = decode::<ValidatorChunks>(bytes) {
            prop_assert!(tampered.check(&sealed.reference(), &assignment).is_err());
        }
    }
}
