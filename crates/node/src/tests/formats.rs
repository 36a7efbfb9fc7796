//! Golden bytes of what nodes say to each other and write down. A difference is a change of format.
//!
//! The files are written anew only by `UPDATE_FIXTURES=1 cargo test -p chorale-node`.

use super::cluster::{first_epoch, secret};
use crate::{
    attestation,
    consensus::wire::Wire,
    dispersal::{
        frames::split,
        keys::assignment_of,
        message::{
            Acknowledge, Announce, Ask, Disperse, ManifestOf, Message, OpenedPayload, Refuse, RefusedFor, Wants,
        },
    },
    store::KeptPayload,
    sync::message as sync,
};
use chorale_dispersal::{Malformed, Opened, Sealed, seal};
use chorale_foundation::Bytes;
use chorale_types::{
    Attestation, BlockId, Bls, BuilderId, DomainId, Epoch, Header, Height, Manifest, OutcomeVote, Payload, PayloadUnit,
    RollupId, Scheme as _, Signature, Signers, Statement, TimestampMs, Transaction, Unit, ValidatorIndex, View,
    codec::{Blob, Encode as _, List, decode},
    tagged_hash,
};
use std::{fmt::Write as _, path::PathBuf};

fn golden(name: &str, lines: &[(&str, Bytes)]) {
    let mut text = String::new();
    for (name, bytes) in lines {
        writeln!(text, "{name} {}", hex::encode(bytes)).unwrap();
    }
    let path = PathBuf::from("fixtures").join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (now, was) in text.lines().zip(golden.lines()) {
        assert_eq!(now, was, "a format in {name} changed");
    }
    assert_eq!(text.lines().count(), golden.lines().count(), "{name} does not have every format");
}

/// A payload of one transaction, in the open and sealed for four validators.
fn payload() -> (Manifest, Bytes, Sealed) {
    let transaction = Transaction { rollup: RollupId(1), data: Blob::new(b"data".to_vec()).unwrap() };
    let units = vec![PayloadUnit::new(Unit::Transaction(transaction))];
    let (_, manifest, bytes) = Payload::build(units, [1; 32]).unwrap();
    let builder = BuilderId::of_validator(&secret(0).public());
    let sealed = seal(&bytes, &[2; 32], builder, View(9), &assignment_of(&first_epoch(4, 100))).unwrap();
    (manifest, bytes, sealed)
}

fn signature() -> Signature {
    Bls::signer(secret(1)).sign(first_epoch(4, 100).chain, Epoch(0), &Statement::Tip { view: View(1), id: id() })
}

fn id() -> BlockId {
    BlockId(tagged_hash("test/block", &[]))
}

fn about_payloads() -> Vec<(&'static str, Message)> {
    let (manifest, bytes, sealed) = payload();
    let (commitment, epoch, chunks) = (sealed.commitment(), Epoch(0), sealed.chunks_of(ValidatorIndex(1)).unwrap());
    let opened = Opened { payload: bytes, key: [2; 32] };
    let ask = |wants| Message::Ask(Ask { height: Height(7), commitment, wants });
    vec![
        ("disperse", Message::Disperse(Disperse { epoch, manifest: manifest.clone(), chunks: chunks.clone() })),
        ("acknowledge", Message::Acknowledge(Acknowledge { commitment, signature: signature() })),
        ("refuse", Message::Refuse(Refuse { commitment, reason: RefusedFor::Storage })),
        ("release", Message::Release(chunks)),
        ("ask-chunks", ask(Wants::Chunks)),
        ("ask-manifest", ask(Wants::Manifest)),
        ("ask-payload", ask(Wants::Payload)),
        ("manifest", Message::Manifest(ManifestOf { commitment, manifest: manifest.clone() })),
        ("opened", Message::Opened(OpenedPayload::new(commitment, manifest.clone(), opened))),
        ("announce", Message::Announce(Announce { epoch, target: View(8), manifest })),
    ]
}

#[test]
fn messages_about_payloads_are_as_they_were() {
    let messages = about_payloads();
    for (name, message) in &messages {
        assert_eq!(decode::<Message>(message.encode()).unwrap(), *message, "{name}");
    }
    let mut lines: Vec<(&str, Bytes)> = messages.iter().map(|(name, message)| (*name, message.encode())).collect();
    let frame = split(5, &Bytes::from_static(b"message")).next().unwrap();
    lines.push(("frame", frame.encode()));
    golden("payloads.txt", &lines);
}

#[test]
fn messages_of_consensus_sync_and_attestation_are_as_they_were() {
    let info = first_epoch(4, 100);
    let header = Header {
        chain: info.chain,
        epoch: Epoch(0),
        view: View(1),
        height: Height(1),
        parent: info.start_certificate(),
        timestamp: TimestampMs(3),
        payloads: List::default(),
        author: ValidatorIndex(1),
    };
    let root = tagged_hash("test/root", &[]);
    let (author, signers) = (ValidatorIndex(1), Signers::of(4, [0, 1, 3].map(ValidatorIndex)));
    let ask = attestation::Ask { domain: DomainId::ORDERING, height: Height(2) };
    let vote = OutcomeVote {
        domain: DomainId::ORDERING,
        epoch: Epoch(0),
        height: Height(2),
        root,
        author,
        signature: signature(),
    };
    let attestation = Attestation {
        domain: DomainId::ORDERING,
        epoch: Epoch(0),
        height: Height(2),
        root,
        signers,
        signature: signature(),
    };
    golden(
        "mesh.txt",
        &[
            ("ping", Wire::Ping(1).encode()),
            ("pong", Wire::Pong(1).encode()),
            (
                "sync-ask",
                sync::Message::Ask(sync::Ask { number: 1, id: id(), height: Height(9), above: Height(4) }).encode(),
            ),
            (
                "sync-answer",
                sync::Message::Answer(sync::Answer { number: 1, headers: List::new(vec![header]).unwrap() }).encode(),
            ),
            ("outcome-vote", attestation::Message::Vote(vote).encode()),
            ("outcome-attestation", attestation::Message::Attestation(attestation).encode()),
            ("outcome-ask", attestation::Message::Ask(ask).encode()),
        ],
    );
}

#[test]
fn payloads_on_disk_are_as_they_were() {
    let (manifest, bytes, _) = payload();
    let kept = |opened| KeptPayload { manifest: manifest.clone(), opened };
    let opened = kept(Ok(Opened { payload: bytes, key: [2; 32] }));
    let malformed = [Malformed::NotACodeword, Malformed::Padding].map(|reason| kept(Err(reason)));
    for kept in [&opened, &malformed[0], &malformed[1]] {
        assert_eq!(decode::<KeptPayload>(kept.encode()).unwrap(), *kept);
    }
    golden(
        "disk.txt",
        &[
            ("opened", opened.encode()),
            ("not-a-codeword", malformed[0].encode()),
            ("bad-padding", malformed[1].encode()),
        ],
    );
}
