//! Pushes, announcements, requests, budgets, and what counts as misbehaviour.

use super::{at, bundle, entry, roomy, with_peers};
use crate::{
    Announce, Bodies, Config, Entry, Incoming, MESSAGE_BYTES_MAX, Mempool, Message, Misbehaviour, Output,
    PUSH_UNITS_MAX, PeerId, Push, Request, Source, Status,
};
use chorale_types::{
    AccountId, AccountSignature, Bundle, DomainId, Execution, PaidExecution, Promise, RollupId, Unit, UnitId,
    codec::{Encode, List},
};

const A: PeerId = PeerId(1);
const B: PeerId = PeerId(2);
const C: PeerId = PeerId(3);

fn deliver(pool: &mut Mempool, from: PeerId, message: &Message, ms: u64) {
    pool.receive(from, Incoming::decode(message.encode()).unwrap(), at(ms));
}

fn sent(pool: &mut Mempool) -> Vec<(Vec<PeerId>, Message)> {
    let send = |output| match output {
        Output::Send { to, message } => Some((to, message)),
        _ => None,
    };
    pool.drain_outputs().into_iter().filter_map(send).collect()
}

fn accusations(pool: &mut Mempool) -> Vec<(PeerId, Misbehaviour)> {
    let accusation = |output| match output {
        Output::Misbehaviour { peer, what } => Some((peer, what)),
        _ => None,
    };
    pool.drain_outputs().into_iter().filter_map(accusation).collect()
}

fn announce(ids: &[UnitId]) -> Message {
    Message::Announce(Announce { ids: List::new(ids.to_vec()).unwrap() })
}

fn push(entries: &[Entry]) -> Message {
    Message::Push(Push { units: List::new(entries.iter().map(Entry::to_unit).collect()).unwrap() })
}

fn bodies(number: u64, units: Vec<Option<Unit>>) -> Message {
    Message::Bodies(Bodies { number, units: List::new(units).unwrap() })
}

/// The one request that the pool sends, and to whom.
fn asked(pool: &mut Mempool) -> (PeerId, Request) {
    match &sent(pool)[..] {
        [(to, Message::Request(request))] => (to[0], request.clone()),
        other => panic!("one request, not {other:?}"),
    }
}

#[test]
fn a_submission_is_pushed_to_all_peers_and_not_passed_on_by_them() {
    let mut pool = with_peers(roomy(), [1, 2]);
    let new = entry(1, 1, 100);
    pool.submit(new.clone(), Source::Local, at(0)).unwrap();
    assert!(sent(&mut pool).is_empty(), "waits for company");
    pool.flush(at(0));
    assert_eq!(sent(&mut pool), [(vec![A, B], push(&[new.clone()]))]);
    let mut other = with_peers(roomy(), [0, 2]);
    deliver(&mut other, PeerId(0), &push(&[new.clone()]), 0);
    other.flush(at(0));
    assert!(sent(&mut other).is_empty());
    assert_eq!(other.status(&new.id()), Some(Status::Pending));
}

#[test]
fn pushes_fit_messages() {
    let mut pool = with_peers(roomy(), [1]);
    for number in 0..2 * PUSH_UNITS_MAX as u64 {
        pool.submit(entry(1, number, 200), Source::Local, at(0)).unwrap();
    }
    for number in 0..10 {
        pool.submit(entry(2, number, 100_000), Source::Local, at(0)).unwrap();
    }
    pool.flush(at(0));
    let mut units = 0;
    for (_, message) in sent(&mut pool) {
        assert!(message.encode().len() <= MESSAGE_BYTES_MAX);
        let Message::Push(push) = message else { panic!("a push") };
        units += push.units.len();
    }
    assert_eq!(units, 2 * PUSH_UNITS_MAX + 10);
}

#[test]
fn a_missing_entry_is_asked_of_one_announcer_and_then_of_the_next() {
    let mut pool = with_peers(roomy(), [1, 2]);
    let wanted = entry(1, 1, 100);
    deliver(&mut pool, A, &announce(&[wanted.id()]), 0);
    let (to, first) = asked(&mut pool);
    assert_eq!((to, &first.ids[..]), (A, &[wanted.id()][..]));
    deliver(&mut pool, B, &announce(&[wanted.id()]), 0);
    deliver(&mut pool, A, &announce(&[wanted.id()]), 0);
    assert!(sent(&mut pool).is_empty(), "it is asked for already");
    pool.tick(at(999));
    assert!(sent(&mut pool).is_empty());
    pool.tick(at(1_000));
    let (to, second) = asked(&mut pool);
    assert_eq!(to, B);
    // Late, from who was given up: no offence, and no use.
    deliver(&mut pool, A, &bodies(first.number, vec![Some(wanted.to_unit())]), 1_001);
    deliver(&mut pool, B, &bodies(second.number, vec![Some(wanted.to_unit())]), 1_002);
    assert!(accusations(&mut pool).is_empty());
    assert_eq!(pool.status(&wanted.id()), Some(Status::Pending));
    assert_eq!((pool.figures().wanted, pool.figures().fetched, pool.figures().fetch_timeouts), (0, 1, 1));
}

#[test]
fn who_does_not_hold_it_any_more_says_so_and_the_next_is_asked() {
    let mut pool = with_peers(roomy(), [1, 2]);
    let wanted = entry(1, 1, 100);
    deliver(&mut pool, A, &announce(&[wanted.id()]), 0);
    let (_, first) = asked(&mut pool);
    deliver(&mut pool, B, &announce(&[wanted.id()]), 0);
    deliver(&mut pool, A, &bodies(first.number, vec![None]), 1);
    let (to, second) = asked(&mut pool);
    assert_eq!(to, B);
    deliver(&mut pool, B, &bodies(second.number, vec![None]), 2);
    assert_eq!(pool.figures().wanted, 0, "nobody is left to ask");
}

#[test]
fn what_a_peer_that_leaves_was_to_be_asked_for_next_is_asked_of_another() {
    let mut pool = with_peers(Config { requests_max: 1, ..roomy() }, [1, 2, 3]);
    let (one, two) = (entry(1, 1, 100), entry(1, 2, 100));
    deliver(&mut pool, A, &announce(&[one.id()]), 0);
    let (_, first) = asked(&mut pool);
    deliver(&mut pool, B, &announce(&[two.id()]), 0);
    assert_eq!(asked(&mut pool).0, B);
    deliver(&mut pool, B, &announce(&[one.id()]), 0);
    deliver(&mut pool, C, &announce(&[one.id()]), 0);
    // Now it is the turn of B, which has not answered the question before, and goes.
    deliver(&mut pool, A, &bodies(first.number, vec![None]), 1);
    assert!(sent(&mut pool).is_empty());
    pool.set_peers([A, C], at(2));
    let (to, request) = asked(&mut pool);
    assert_eq!((to, &request.ids[..]), (C, &[one.id()][..]));
}

#[test]
fn a_peer_that_leaves_is_not_waited_for() {
    let mut pool = with_peers(roomy(), [1, 2]);
    let (one, two) = (entry(1, 1, 100), entry(1, 2, 100));
    deliver(&mut pool, A, &announce(&[one.id(), two.id()]), 0);
    deliver(&mut pool, B, &announce(&[one.id()]), 0);
    assert_eq!(sent(&mut pool).len(), 1);
    pool.set_peers([B], at(1));
    let (to, request) = asked(&mut pool);
    assert_eq!((to, &request.ids[..]), (B, &[one.id()][..]));
    assert_eq!(pool.figures().wanted, 1);
}

#[test]
fn requests_are_answered_in_order_as_far_as_a_message_holds_and_the_rest_is_asked_again() {
    let mut holder = with_peers(roomy(), [0]);
    let all: Vec<Entry> = (0..5).map(|number| entry(1, number, 100_000)).collect();
    for one in &all {
        holder.submit(one.clone(), Source::Peer(PeerId(9)), at(0)).unwrap();
    }
    let mut pool = with_peers(roomy(), [1]);
    deliver(&mut pool, A, &announce(&all.iter().map(Entry::id).collect::<Vec<_>>()), 0);
    let mut rounds = 0;
    loop {
        let requests = sent(&mut pool);
        if requests.is_empty() {
            break;
        }
        rounds += 1;
        for (_, request) in requests {
            deliver(&mut holder, PeerId(0), &request, 1);
        }
        for (_, answer) in sent(&mut holder) {
            assert!(answer.encode().len() <= MESSAGE_BYTES_MAX);
            deliver(&mut pool, A, &answer, 1);
        }
    }
    assert_eq!(rounds, 3, "two large entries fit a message");
    assert!(all.iter().all(|one| pool.status(&one.id()) == Some(Status::Pending)));
    assert!(accusations(&mut pool).is_empty() && accusations(&mut holder).is_empty());
}

#[test]
fn what_ended_is_not_asked_for_and_does_not_come_back_by_announcements() {
    let mut pool = with_peers(roomy(), [1]);
    let expired = entry(1, 1, 100);
    pool.submit(expired.clone(), Source::Local, at(0)).unwrap();
    pool.tick(at(200_000));
    sent(&mut pool);
    deliver(&mut pool, A, &announce(&[expired.id()]), 200_000);
    assert!(sent(&mut pool).is_empty());
    // But a user may submit it again, also to a peer.
    deliver(&mut pool, A, &push(&[expired.clone()]), 200_000);
    assert_eq!(pool.status(&expired.id()), Some(Status::Pending));
}

#[test]
fn lies_about_bodies_are_named() {
    let mut pool = with_peers(roomy(), [1, 2]);
    let (wanted, other) = (entry(1, 1, 100), entry(1, 2, 100));
    deliver(&mut pool, A, &announce(&[wanted.id()]), 0);
    let (_, request) = asked(&mut pool);
    deliver(&mut pool, A, &bodies(request.number, vec![Some(other.to_unit())]), 0);
    let wrong = Misbehaviour::WrongBody { number: request.number, asked: wanted.id(), sent: other.id() };
    assert_eq!(accusations(&mut pool), [(A, wrong)]);
    assert_eq!(pool.status(&other.id()), None);

    deliver(&mut pool, B, &announce(&[wanted.id()]), 0);
    let (_, request) = asked(&mut pool);
    deliver(&mut pool, B, &bodies(request.number, vec![Some(wanted.to_unit()), Some(other.to_unit())]), 0);
    let too_many = Misbehaviour::TooManyBodies { number: request.number, asked: 1, sent: 2 };
    assert_eq!(accusations(&mut pool), [(B, too_many)]);

    deliver(&mut pool, A, &bodies(u64::MAX, vec![]), 0);
    assert!(matches!(accusations(&mut pool)[..], [(A, Misbehaviour::BodiesNotAskedFor { number: u64::MAX, .. })]));
}

/// The payer's signature is the one thing that a bundle's id does not bind.
#[test]
fn a_bundle_with_a_forged_signature_is_a_lie_and_asked_from_another_peer() {
    let domains = [(RollupId(1), DomainId(7)), (RollupId(2), DomainId(7))].into();
    let mut pool = with_peers(Config { domains, ..roomy() }, [1, 2]);
    let execution = Execution { domain: DomainId(7), payer: AccountId([1; 20]), max_fee: 1, attempt: 0 };
    let promise = Promise::Execution(PaidExecution { execution, signature: AccountSignature([2; 65]) });
    let Unit::Bundle(inclusion) = bundle(&[(1, 50), (2, 50)], 9, 1).to_unit() else { unreachable!() };
    let forged = Unit::Bundle(Bundle { promise, ..inclusion });
    let id = forged.id();
    deliver(&mut pool, A, &announce(&[id]), 0);
    let (_, request) = asked(&mut pool);
    deliver(&mut pool, B, &announce(&[id]), 0);
    deliver(&mut pool, A, &bodies(request.number, vec![Some(forged)]), 0);
    let lie = Misbehaviour::WrongBody { number: request.number, asked: id, sent: id };
    let outputs = pool.drain_outputs();
    assert!(outputs.iter().any(|output| matches!(output, Output::Misbehaviour { peer: A, what } if *what == lie)));
    let to_b = |output: &Output| matches!(output, Output::Send { to, message: Message::Request(_) } if to[..] == [B]);
    assert!(outputs.iter().any(to_b), "{outputs:?}");
}

#[test]
fn an_answer_to_a_request_from_before_a_restart_is_no_offence() {
    let wanted = entry(1, 1, 100);
    let mut before = with_peers(roomy(), [1]);
    deliver(&mut before, A, &announce(&[wanted.id()]), 0);
    let (_, request) = asked(&mut before);
    let mut after = Mempool::new(roomy(), chorale_types::Height(0), at(50)).unwrap();
    after.set_peers([A], at(50));
    deliver(&mut after, A, &bodies(request.number, vec![Some(wanted.to_unit())]), 60);
    assert!(accusations(&mut after).is_empty());
}

#[test]
fn an_entry_above_the_common_limit_is_named() {
    let mut config = roomy();
    config.entry_bytes_max = 1_000;
    let mut pool = with_peers(config, [1]);
    let large = entry(1, 1, 1_001);
    deliver(&mut pool, A, &push(&[large.clone()]), 0);
    let oversize = Misbehaviour::OversizeEntry { id: large.id(), bytes: 1_001, max: 1_000 };
    assert_eq!(accusations(&mut pool), [(A, oversize)]);
}

#[test]
fn strangers_are_ignored() {
    let mut pool = with_peers(roomy(), [1]);
    deliver(&mut pool, PeerId(9), &push(&[entry(1, 1, 100)]), 0);
    assert_eq!(pool.figures().total.entries, 0);
    assert!(pool.drain_outputs().is_empty());
}

fn slow() -> Config {
    Config {
        peer_bytes_per_second: 2 * MESSAGE_BYTES_MAX as u64,
        peer_ids_per_second: 512,
        reconcile_interval_ms: 1_000_000,
        ..roomy()
    }
}

#[test]
fn floods_are_dropped_and_named_once_a_second() {
    let mut pool = with_peers(slow(), [1]);
    let before = pool.figures().total.entries;
    let mut number = 0;
    for ms in 0..2_000 {
        number += 1;
        deliver(&mut pool, A, &push(&[entry(1, number, 20_000)]), ms);
        deliver(&mut pool, A, &announce(&[entry(2, number, 100).id(); 40]), ms);
    }
    let accusations = accusations(&mut pool);
    assert!((1..=2).contains(&accusations.len()), "{accusations:?}");
    assert!(accusations.iter().all(|(peer, _)| *peer == A));
    // Eight seconds' burst, and what two seconds refill.
    let bytes_max = 10 * slow().peer_bytes_per_second;
    assert!((pool.figures().total.entries - before) * 20_000 <= bytes_max);
    // After a pause it is heard again.
    deliver(&mut pool, A, &push(&[entry(3, 1, 100)]), 60_000);
    assert_eq!(pool.status(&entry(3, 1, 100).id()), Some(Status::Pending));
}

#[test]
fn messages_without_content_are_charged_too() {
    let mut pool = with_peers(slow(), [1]);
    for _ in 0..20_000 {
        deliver(&mut pool, A, &push(&[]), 0);
    }
    assert!(matches!(accusations(&mut pool)[..], [(A, Misbehaviour::BodiesFlood { .. })]));
}

#[test]
fn a_pool_sends_half_of_what_its_peers_accept_even_if_all_of_it_arrives_at_once() {
    let mut sender = with_peers(slow(), [1]);
    let mut receiver = with_peers(slow(), [0]);
    let mut held_back = Vec::new();
    let mut number = 0;
    for ms in (0..7_000).step_by(10) {
        number += 1;
        sender.submit(entry(1, number, 9_000), Source::Local, at(ms)).unwrap();
        sender.tick(at(ms));
        held_back.extend(sent(&mut sender));
    }
    assert!(sender.figures().pushes_withheld > 100, "the budget was used up");
    for (_, message) in held_back {
        deliver(&mut receiver, PeerId(0), &message, 7_000);
    }
    assert!(accusations(&mut receiver).is_empty());
}

#[test]
fn announcements_beyond_what_can_wait_are_left_for_later() {
    let mut config = roomy();
    config.announced_entries_max = 10;
    config.requests_max = 1;
    let mut pool = with_peers(config, [1]);
    let ids: Vec<UnitId> = (0..600).map(|number| entry(1, number, 100).id()).collect();
    for ids in ids.chunks(100) {
        deliver(&mut pool, A, &announce(ids), 0);
        assert!(pool.figures().wanted <= 10 + 256);
    }
    assert!(pool.figures().announcements_ignored >= 500);
}
