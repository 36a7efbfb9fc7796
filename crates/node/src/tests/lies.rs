//! What a validator says about payloads that is not so: who says it is cut off, where it can be proven, and the others
//! go on.

use super::{
    cluster::{identity, secret},
    liar::Lie,
    nodes::{Nodes, link},
};
use crate::{
    dispersal::message::{Acknowledge, Ask, Disperse, Message, Refuse, RefusedFor, Wants},
    ports::ChainHandle,
};
use chorale_dispersal::ValidatorChunks;
use chorale_foundation::{
    cryptography::{Signer as _, ed25519::PublicKey},
    runtime::{Metrics as _, Runner as _, deterministic::Runner},
};
use chorale_types::{
    BuilderId, Commitment, Digest, Height, ValidatorIndex,
    codec::Blob,
    genesis::{GenesisParameters, RevealWhen},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The node that lies. Validators stand in the order of their keys, nodes do not.
const LIAR: usize = 3;

fn parameters() -> GenesisParameters {
    GenesisParameters { timeout_base_ms: 500, time_step_ms_max: 400, ..GenesisParameters::default() }
}

fn garbled(chunks: ValidatorChunks) -> ValidatorChunks {
    let mut bytes = chunks.chunks.to_vec();
    bytes[0] ^= 1;
    ValidatorChunks { chunks: Blob::new(bytes).unwrap(), ..chunks }
}

/// A network in which one of four lies. Whoever else there is settles everything that was submitted to it. Who has cut
/// off whom, in the end, and how often the lie was told.
fn told(seed: u64, lie: impl Fn(Message) -> Option<Message> + Send + Sync + 'static) -> (Vec<(usize, usize)>, usize) {
    Runner::seeded(seed).start(|context| async move {
        let mut nodes = Nodes::new(context, 4, parameters(), link(0)).await;
        let times = Arc::new(AtomicUsize::new(0));
        let counted = times.clone();
        nodes.lies(
            LIAR,
            Arc::new(move |_: &PublicKey, message: Message, _: &mut dyn FnMut(&PublicKey, &Message)| {
                let said = lie(message.clone());
                counted.fetch_add(usize::from(said.as_ref() != Some(&message)), Ordering::Relaxed);
                said
            }),
        );
        nodes.start_all().await;
        let mut ids = Vec::new();
        let mut round = 0;
        // Others may find everything in their pools for a while, so that the liar has nothing to build from.
        while round < 60 || round < 600 && times.load(Ordering::Relaxed) < 3 {
            for i in 0..3 {
                ids.extend(nodes.submit(i, [100 * round + i as u64]).await);
            }
            let _ = nodes.submit(LIAR, [100 * round + 50]).await;
            nodes.sleep_ms(60).await;
            round += 1;
        }
        nodes.crash(LIAR).await;
        nodes.until_settled(&ids).await;
        nodes.agree().await;
        (nodes.cut_off().await, times.load(Ordering::Relaxed))
    })
}

/// The lie is told, and whoever looked at it has cut off who told it, and nobody else.
#[track_caller]
fn is_proven(seed: u64, lie: impl Fn(Message) -> Option<Message> + Send + Sync + 'static) {
    let (cut_off, times) = told(seed, lie);
    assert!(times > 0, "the lie was never told");
    assert!(!cut_off.is_empty() && cut_off.iter().all(|(_, whom)| *whom == LIAR), "{cut_off:?}");
}

/// The lie is told, and nobody can know that it is one.
#[track_caller]
fn is_survived(seed: u64, lie: impl Fn(Message) -> Option<Message> + Send + Sync + 'static) {
    let (cut_off, times) = told(seed, lie);
    assert!(times > 0, "the lie was never told");
    assert_eq!(cut_off, []);
}

#[test]
fn who_disperses_wrong_chunks_is_cut_off() {
    is_proven(61, |message| {
        Some(match message {
            Message::Disperse(it) => Message::Disperse(Disperse { chunks: garbled(it.chunks), ..it }),
            other => other,
        })
    });
}

#[test]
fn who_disperses_the_chunks_of_another_validator_is_cut_off() {
    is_proven(62, |message| {
        Some(match message {
            Message::Disperse(mut it) => {
                it.chunks.validator = ValidatorIndex((it.chunks.validator.0 + 1) % 4);
                Message::Disperse(it)
            }
            other => other,
        })
    });
}

#[test]
fn who_disperses_a_manifest_of_another_length_is_cut_off() {
    is_proven(63, |message| {
        Some(match message {
            Message::Disperse(mut it) => {
                it.manifest.length += 1;
                Message::Disperse(it)
            }
            other => other,
        })
    });
}

#[test]
fn who_announces_a_payload_that_cannot_be_is_cut_off() {
    is_proven(64, |message| {
        Some(match message {
            Message::Announce(mut it) => {
                it.manifest.length = u32::MAX;
                Message::Announce(it)
            }
            other => other,
        })
    });
}

#[test]
fn who_signs_wrong_acknowledgements_is_cut_off() {
    // A signature of its own, over something else.
    let before = Mutex::new(None);
    is_proven(65, move |message| {
        Some(match message {
            Message::Acknowledge(it) => {
                let before = before.lock().unwrap().replace(it.signature);
                Message::Acknowledge(Acknowledge { signature: before.unwrap_or(it.signature), ..it })
            }
            other => other,
        })
    });
}

#[test]
fn who_releases_wrong_chunks_is_cut_off() {
    is_proven(66, |message| {
        Some(match message {
            Message::Release(chunks) => Message::Release(garbled(chunks)),
            other => other,
        })
    });
}

#[test]
fn who_acknowledges_and_never_shows_its_chunks_stops_nobody() {
    is_survived(67, |message| match message {
        Message::Release(_) | Message::Opened(_) | Message::Manifest(_) => None,
        other => Some(other),
    });
}

#[test]
fn chunks_that_are_acknowledged_and_not_shown_are_counted() {
    Runner::seeded(73).start(|context| async move {
        let mut nodes = Nodes::new(context, 4, parameters(), link(0)).await;
        let lie = |_: &PublicKey, message: Message, _: &mut dyn FnMut(&PublicKey, &Message)| match message {
            Message::Release(_) | Message::Opened(_) => None,
            other => Some(other),
        };
        nodes.lies(LIAR, Arc::new(lie));
        nodes.start_all().await;
        // With one node less, the liar's chunks are missed.
        nodes.crash(2).await;
        let mut ids = Vec::new();
        for name in 0..60 {
            ids.extend(nodes.submit(usize::try_from(name % 2).unwrap(), [name]).await);
            nodes.sleep_ms(60).await;
        }
        nodes.crash(LIAR).await;
        nodes.start(2).await;
        nodes.until_settled(&ids).await;
        let metrics = nodes.context.encode();
        let counted = |line: &str| {
            let value = line.split_once("chunks_withheld_total")?.1.rsplit_once(' ')?.1;
            value.parse::<u64>().ok()
        };
        let counted: u64 = metrics.lines().filter(|line| !line.starts_with('#')).filter_map(counted).sum();
        assert!(counted > 0, "{metrics}");
    });
}

#[test]
fn who_acknowledges_nothing_stops_nobody() {
    is_survived(68, |message| match message {
        Message::Acknowledge(_) => None,
        other => Some(other),
    });
}

#[test]
fn who_refuses_everything_stops_nobody() {
    is_survived(69, |message| {
        Some(match message {
            Message::Acknowledge(it) => {
                Message::Refuse(Refuse { commitment: it.commitment, reason: RefusedFor::Storage })
            }
            other => other,
        })
    });
}

/// One node has another manifest than the one that was ordered: whoever asks it would take an answer with that for a lie.
#[test]
fn whom_its_builder_gave_another_manifest_answers_with_the_one_that_is_ordered() {
    Runner::seeded(74).start(|context| async move {
        let mut nodes = Nodes::new(context, 4, parameters(), link(0)).await;
        let chain: Arc<Mutex<Option<ChainHandle>>> = Arc::default();
        let victim = identity(0).public_key();
        let lied_to = victim.clone();
        let lie = move |to: &PublicKey, message: Message, _: &mut dyn FnMut(&PublicKey, &Message)| match message {
            Message::Disperse(mut it) if *to == lied_to => {
                it.manifest.salt[0] ^= 1;
                Some(Message::Disperse(it))
            }
            other => Some(other),
        };
        nodes.lies(LIAR, Arc::new(lie));
        // Asks about the last payloads that it has shown its own chunks of, again and again.
        let (asks_at, shown) = (chain.clone(), Mutex::new(Vec::new()));
        let ask = move |_: &PublicKey, message: Message, send: &mut dyn FnMut(&PublicKey, &Message)| {
            let mut shown = shown.lock().unwrap();
            if let Message::Release(chunks) = &message {
                shown.push(chunks.reference.commitment);
            }
            let committed = asks_at.lock().unwrap().as_ref().map_or(0, |chain| chain.committed.borrow().0);
            for commitment in shown.iter().rev().take(6).copied() {
                for height in (committed.saturating_sub(5)..=committed).map(Height) {
                    send(&victim, &Message::Ask(Ask { height, commitment, wants: Wants::Manifest }));
                }
            }
            Some(message)
        };
        nodes.lies(1, Arc::new(ask));
        let answers: Arc<Mutex<Vec<(Commitment, Digest)>>> = Arc::default();
        let answered = answers.clone();
        let observe = move |_: &PublicKey, message: Message, _: &mut dyn FnMut(&PublicKey, &Message)| {
            if let Message::Manifest(it) = &message {
                answered.lock().unwrap().push((it.commitment, it.manifest.digest()));
            }
            Some(message)
        };
        nodes.lies(0, Arc::new(observe));
        nodes.start_all().await;
        *chain.lock().unwrap() = Some(nodes.handles(1).chain.clone());
        let mut ids = Vec::new();
        for name in 0..80 {
            ids.extend(nodes.submit(LIAR, [name]).await);
            nodes.sleep_ms(60).await;
        }
        nodes.until_settled(&ids).await;
        let mut ordered = BTreeMap::new();
        let builder = BuilderId::of_validator(&secret(LIAR).public());
        for height in (1..=nodes.agree().await.len() as u64).map(Height) {
            let header = nodes.handles(0).chain.headers.get(height).await.unwrap().header;
            for certificate in header.payloads.iter().filter(|certificate| certificate.builder() == builder) {
                ordered.insert(certificate.commitment(), certificate.acknowledged.manifest);
            }
        }
        let answers = answers.lock().unwrap();
        let of_liar: Vec<_> = answers.iter().filter(|(commitment, _)| ordered.contains_key(commitment)).collect();
        assert!(!of_liar.is_empty(), "{} answers, {} payloads", answers.len(), ordered.len());
        assert!(of_liar.iter().all(|(commitment, digest)| ordered[commitment] == *digest));
    });
}

/// A node that was away is told something false about what it missed.
fn told_to_who_was_away(seed: u64, lie: impl Fn(Message) -> Message + Send + Sync + 'static) -> Vec<(usize, usize)> {
    Runner::seeded(seed).start(|context| async move {
        let mut nodes = Nodes::new(context, 4, parameters(), link(0)).await;
        let told: Lie = Arc::new(move |_: &PublicKey, message: Message, _: &mut dyn FnMut(&PublicKey, &Message)| {
            Some(lie(message))
        });
        nodes.lies(LIAR, told);
        nodes.start_all().await;
        nodes.crash(0).await;
        let mut name = 0;
        while nodes.settled(1) < Height(60) {
            nodes.submit(1, [name]).await;
            name += 1;
            nodes.sleep_ms(60).await;
        }
        let top = nodes.settled(1);
        nodes.start(0).await;
        nodes.until_height(top).await;
        nodes.agree().await;
        nodes.cut_off().await
    })
}

#[test]
fn who_answers_with_another_payload_is_cut_off() {
    let cut_off = told_to_who_was_away(70, |message| match message {
        Message::Opened(mut it) => {
            it.key[0] ^= 1;
            Message::Opened(it)
        }
        other => other,
    });
    assert_eq!(cut_off, [(0, LIAR)]);
}

#[test]
fn who_answers_with_another_manifest_is_cut_off() {
    let cut_off = told_to_who_was_away(71, |message| match message {
        Message::Manifest(mut it) => {
            it.manifest.length += 1;
            Message::Manifest(it)
        }
        Message::Opened(mut it) => {
            it.manifest.length += 1;
            Message::Opened(it)
        }
        other => other,
    });
    assert_eq!(cut_off, [(0, LIAR)]);
}

/// What an honest node sent of a payload: which, and the height that it had committed.
type Shown = Arc<Mutex<Vec<(usize, Commitment, Height)>>>;

#[test]
fn nothing_of_a_payload_is_shown_before_it_is_committed_to_whoever_asks() {
    Runner::seeded(72).start(|context| async move {
        let mut nodes =
            Nodes::new(context, 4, GenesisParameters { reveal: RevealWhen::Committed, ..parameters() }, link(0)).await;
        let shown = Shown::default();
        let chains: Arc<Mutex<BTreeMap<usize, ChainHandle>>> = Arc::default();
        for i in 0..3 {
            let (shown, chains) = (shown.clone(), chains.clone());
            nodes.lies(
                i,
                Arc::new(move |_: &PublicKey, message: Message, _: &mut dyn FnMut(&PublicKey, &Message)| {
                    let commitment = match &message {
                        Message::Release(chunks) => Some(chunks.reference.commitment),
                        Message::Opened(opened) => Some(opened.commitment),
                        _ => None,
                    };
                    if let Some(commitment) = commitment {
                        let committed = *chains.lock().unwrap()[&i].committed.borrow();
                        shown.lock().unwrap().push((i, commitment, committed));
                    }
                    Some(message)
                }),
            );
        }
        // Asks everybody for everything of each payload, as soon as it has got its own chunks of it.
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, chains_of_all) = (asked.clone(), chains.clone());
        nodes.lies(
            LIAR,
            Arc::new(move |_: &PublicKey, message: Message, send: &mut dyn FnMut(&PublicKey, &Message)| {
                if let Message::Acknowledge(Acknowledge { commitment, .. }) = &message {
                    let next =
                        chains_of_all.lock().unwrap().get(&LIAR).map_or(1, |chain| chain.committed.borrow().0 + 1);
                    for peer in (0..3).map(|i| identity(i).public_key()) {
                        for wants in [Wants::Chunks, Wants::Payload] {
                            for height in next..next + 3 {
                                send(
                                    &peer,
                                    &Message::Ask(Ask { height: Height(height), commitment: *commitment, wants }),
                                );
                            }
                            counted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                Some(message)
            }),
        );
        nodes.start_all().await;
        for i in 0..4 {
            chains.lock().unwrap().insert(i, nodes.handles(i).chain.clone());
        }
        let mut ids = Vec::new();
        for name in 0..60 {
            ids.extend(nodes.submit(usize::try_from(name % 3).unwrap(), [name]).await);
            nodes.sleep_ms(60).await;
        }
        nodes.until_settled(&ids).await;
        let top = nodes.agree().await.len() as u64;
        let mut ordered = BTreeMap::new();
        for height in (1..=top).map(Height) {
            let header = nodes.handles(0).chain.headers.get(height).await.unwrap().header;
            for certificate in header.payloads.iter() {
                ordered.entry(certificate.commitment()).or_insert(height);
            }
        }
        let shown = shown.lock().unwrap();
        assert!(asked.load(Ordering::Relaxed) > 50 && shown.len() > 50, "{} shown", shown.len());
        for (node, commitment, committed) in shown.iter() {
            if let Some(height) = ordered.get(commitment) {
                assert!(committed >= height, "node {node} showed at {committed} what {height} orders");
            }
        }
    });
}
