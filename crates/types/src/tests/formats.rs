//! Golden bytes of every format and signed preimage, and what decoders do with bytes that are none.
//!
//! A difference is a change of format, which needs a new version of it. The file is written anew only by
//! `UPDATE_FIXTURES=1 cargo test -p chorale-types`.

use super::samples::{
    built, chain, digest, executed_bundle, executed_bundles, execution_outcome, heads, reference, samples, secret,
    statements, trees,
};
use crate::*;
use chorale_foundation::Bytes;
use proptest::prelude::*;
use std::{fmt::Write as _, path::PathBuf};

fn golden(name: &str, text: &str) {
    let path = PathBuf::from("fixtures").join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (now, was) in text.lines().zip(golden.lines()) {
        assert_eq!(now, was, "a format in {name} changed");
    }
    assert_eq!(text.lines().count(), golden.lines().count(), "{name} does not have every format");
}

#[test]
fn encodings_are_as_they_were() {
    let mut text = String::new();
    for sample in samples() {
        writeln!(text, "{} {}", sample.name, hex::encode(&sample.bytes)).unwrap();
    }
    writeln!(text, "payload {}", hex::encode(built().2)).unwrap();
    golden("encodings.txt", &text);
}

#[test]
fn signed_preimages_and_signatures_are_as_they_were() {
    let scheme = Bls::signer(secret(0));
    let mut text = String::new();
    for (name, statement) in statements() {
        writeln!(text, "{name} preimage {}", hex::encode(statement.preimage(chain(), Epoch(3)))).unwrap();
        let signature = scheme.sign(chain(), Epoch(3), &statement);
        writeln!(text, "{name} signature {}", hex::encode(signature.0)).unwrap();
    }
    writeln!(text, "possession {}", hex::encode(secret(0).prove_possession().0)).unwrap();
    golden("signatures.txt", &text);
}

#[test]
fn hashes_are_as_they_were() {
    let (tree, registry) = trees();
    let (_, manifest, _) = built();
    let units = super::samples::units();
    let info = super::samples::epoch_info(&[1, 2, 3]);
    let rows: Vec<(&str, String)> = vec![
        ("header", super::samples::header().id().to_string()),
        ("transaction", units[0].id().to_string()),
        ("bundle", units[1].id().to_string()),
        ("bundle-executed", executed_bundle().id().to_string()),
        ("pay-message", hex::encode(pay_message(chain(), executed_bundle().id()))),
        ("manifest", hex::encode(manifest.digest())),
        ("lane-root", hex::encode(tree.root())),
        ("registry-root", hex::encode(registry.root())),
        ("empty-root", hex::encode(merkle_root(&[]))),
        ("outcome-root", hex::encode(super::samples::outcome(&tree, &registry).root())),
        ("rollups-root", hex::encode(ExecutionOutcome::rollups_root(&heads()))),
        ("bundles-root", hex::encode(ExecutionOutcome::bundles_root(&executed_bundles()))),
        ("no-bundles-root", hex::encode(ExecutionOutcome::bundles_root(&[]))),
        ("execution-root", hex::encode(execution_outcome().root())),
        ("validators", hex::encode(info.validators.digest())),
        ("builder", hex::encode(info.validators.get(ValidatorIndex(0)).unwrap().builder().0)),
        ("leaders", (1..40).map(|view| info.leader(View(view)).to_string()).collect()),
        ("weights", format!("{:?}", quantise(&[1_000_000, 1, 333_333, 999_999]))),
        ("reference", format!("{:?}", reference("block"))),
        ("tagged", hex::encode(digest("x"))),
    ];
    let text: String = rows.iter().fold(String::new(), |text, (name, value)| text + name + " " + value + "\n");
    golden("hashes.txt", &text);
}

#[test]
fn what_is_encoded_decodes_to_the_same() {
    for sample in samples() {
        assert_eq!((sample.recode)(sample.bytes.clone()).unwrap(), sample.bytes, "{}", sample.name);
    }
}

#[test]
fn truncated_and_trailing_bytes_are_refused() {
    for sample in samples() {
        for length in 0..sample.bytes.len() {
            assert!((sample.recode)(sample.bytes.slice(..length)).is_err(), "{} of {length} bytes", sample.name);
        }
        let longer = [sample.bytes.as_ref(), &[0]].concat();
        assert!((sample.recode)(longer.into()).is_err(), "{} and a byte more", sample.name);
    }
}

#[test]
fn one_bit_off_is_refused_or_decodes_to_itself() {
    for sample in samples() {
        for byte in 0..sample.bytes.len() {
            for bit in 0..8 {
                let mut bytes = sample.bytes.to_vec();
                bytes[byte] ^= 1 << bit;
                let bytes = Bytes::from(bytes);
                if let Ok(again) = (sample.recode)(bytes.clone()) {
                    assert_eq!(again, bytes, "{} has two encodings: byte {byte}, bit {bit}", sample.name);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_refused_or_decodes_to_itself(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
        let garbage = Bytes::from(garbage);
        for sample in samples().into_iter() {
            if let Ok(again) = (sample.recode)(garbage.clone()) {
                prop_assert_eq!(&again, &garbage, "{}", sample.name);
            }
        }
    }

    #[test]
    fn large_lengths_are_refused_before_they_cost_memory(at in 0usize..400, length in 0x0100_0000u32..) {
        for sample in samples() {
            let mut bytes = sample.bytes.to_vec();
            if at + 4 <= bytes.len() {
                bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
                let bytes = Bytes::from(bytes);
                if let Ok(again) = (sample.recode)(bytes.clone()) {
                    prop_assert_eq!(&again, &bytes, "{}", sample.name);
                }
            }
        }
    }
}
