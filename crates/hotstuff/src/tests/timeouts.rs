//! Rule 7: fences, ranks, certificates of timeouts, and answers to whoever is behind.

use super::net::Bench;
use crate::{Output, To, Votes};
use chorale_types::{Entry, High, Message, Proposal, Signature, Timeout, ValidatorIndex, View};

fn timeout(bench: &Bench) -> Option<Timeout> {
    bench.sent().into_iter().find_map(|message| match message {
        Message::Timeout(timeout) => Some(timeout.clone()),
        _ => None,
    })
}

#[test]
fn a_timeout_is_durable_first_and_resent_unchanged() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    bench.tick();
    let first = timeout(&bench).unwrap();
    assert_eq!(bench.record().unwrap().timeout, Some(first.clone()));
    // What is learnt meanwhile changes nothing.
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    bench.hear(tip.header.author.0, Message::Proposal(Proposal::Fresh(tip)));
    bench.tick();
    assert_eq!(timeout(&bench), Some(first));
}

#[test]
fn it_reports_the_header_voted_for_or_the_highest_certificate() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    bench.hear(1, Message::Entry(Entry::Certified(chain[0].1.clone())));
    bench.hear(chain[1].0.header.author.0, Message::Proposal(Proposal::Fresh(chain[1].0.clone())));
    bench.tick();
    let sent = timeout(&bench).unwrap();
    assert_eq!((sent.view, sent.high, sent.entry), (View(2), High::Voted(chain[1].0.clone()), None));
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let start = High::Certified(bench.maker.start());
    let certificate = bench.maker.timeouts(4, &[(1, start.clone()), (2, start.clone()), (3, start.clone())]);
    bench.hear(1, Message::Entry(Entry::TimedOut(certificate.clone())));
    bench.tick();
    let sent = timeout(&bench).unwrap();
    assert_eq!((sent.view, sent.high, sent.entry), (View(5), start, Some(Entry::TimedOut(certificate))));
}

#[test]
fn whoever_sees_an_honest_share_give_up_gives_up_too() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let high = High::Certified(bench.maker.start());
    let message = |by| Message::Timeout(bench.maker.timeout(by, 1, high.clone(), None));
    let (one, two) = (message(1), message(2));
    bench.hear(1, one);
    assert_eq!(timeout(&bench), None);
    bench.hear(2, two);
    assert_eq!(timeout(&bench).unwrap().view, View(1));
    // With its own, that is a quorum.
    assert_eq!(bench.core.view(), View(2));
}

#[test]
fn the_best_of_a_quorum_decides() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 3);
    bench.hear(1, Message::Entry(Entry::Certified(chain[1].1.clone())));
    let low = bench.maker.timeout(1, 3, High::Certified(chain[1].1.clone()), None);
    let best = bench.maker.timeout(2, 3, High::Voted(chain[2].0.clone()), None);
    bench.hear(1, Message::Timeout(low));
    bench.hear(2, Message::Timeout(best));
    assert_eq!(bench.core.view(), View(4));
    bench.tick();
    let Some(Entry::TimedOut(certificate)) = bench.record().unwrap().entry else { panic!("timed out") };
    assert_eq!(certificate.high, High::Voted(chain[2].0.clone()));
    assert_eq!(certificate.quorum.groups.len(), 2);
}

#[test]
fn a_false_signature_among_timeouts_is_found_and_its_sender_ignored() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let high = High::Certified(bench.maker.start());
    let honest = bench.maker.timeout(1, 1, high.clone(), None);
    let mut forged = bench.maker.timeout(2, 1, high.clone(), None);
    forged.signature = honest.signature;
    bench.hear(1, Message::Timeout(honest));
    bench.hear(2, Message::Timeout(forged));
    assert_eq!((bench.blamed(), bench.core.view()), (vec![2], View(1)));
    let third = bench.maker.timeout(3, 1, high, None);
    bench.hear(3, Message::Timeout(third));
    assert_eq!(bench.core.view(), View(2));
}

#[test]
fn a_false_best_never_gets_into_a_certificate() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let mut tip = bench.maker.tip(1, &bench.maker.start(), None);
    tip.signature = Signature::NONE;
    let forged = bench.maker.timeout(1, 1, High::Voted(tip), None);
    bench.hear(1, Message::Timeout(forged));
    assert_eq!(bench.blamed(), [1]);
    let good = bench.maker.tip(1, &bench.maker.start(), None);
    let mut unsigned = bench.maker.timeout(2, 1, High::Voted(good), None);
    unsigned.signature = Signature::NONE;
    bench.hear(2, Message::Timeout(unsigned));
    assert_eq!((bench.blamed(), bench.core.view()), (vec![2], View(1)));
}

#[test]
fn a_timeout_ahead_has_to_prove_how_its_view_was_entered() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let start = High::Certified(bench.maker.start());
    let bare = bench.maker.timeout(1, 5, start.clone(), None);
    bench.hear(1, Message::Timeout(bare));
    assert_eq!((bench.blamed(), bench.core.view()), (vec![1], View(1)));
    let certificate = bench.maker.timeouts(4, &[(1, start.clone()), (2, start.clone()), (3, start.clone())]);
    let entry = Some(Entry::TimedOut(certificate));
    let proven = bench.maker.timeout(2, 5, start, entry);
    bench.hear(2, Message::Timeout(proven));
    assert_eq!((bench.blamed(), bench.core.view()), (vec![], View(5)));
}

#[test]
fn a_stale_timeout_is_answered_with_the_entry_certificate_once_in_a_while() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 1);
    bench.hear(1, Message::Entry(Entry::Certified(chain[0].1.clone())));
    let stale = bench.maker.timeout(2, 1, High::Certified(bench.maker.start()), None);
    let answer =
        Output::Send { to: To::One(ValidatorIndex(2)), message: Message::Entry(Entry::Certified(chain[0].1.clone())) };
    bench.hear(2, Message::Timeout(stale.clone()));
    assert!(bench.out.contains(&answer));
    bench.hear(2, Message::Timeout(stale.clone()));
    assert!(!bench.out.contains(&answer));
    bench.now += 60;
    bench.hear(2, Message::Timeout(stale));
    assert!(bench.out.contains(&answer));
}

#[test]
fn lost_views_take_longer_and_certified_ones_shorten_again() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let span = |bench: &Bench| bench.core.deadline().unwrap().0 - bench.now;
    assert_eq!(span(&bench), 100);
    let start = High::Certified(bench.maker.start());
    let mut spans = Vec::new();
    for view in 1..12 {
        let certificate = bench.maker.timeouts(view, &[(1, start.clone()), (2, start.clone()), (3, start.clone())]);
        bench.hear(1, Message::Entry(Entry::TimedOut(certificate)));
        spans.push(bench.core.view_deadline.0 - bench.now);
    }
    assert_eq!(spans[..4], [150, 225, 338, 507]);
    assert_eq!(spans[10], 2000);
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    let certificate = bench.maker.certificate(20, tip.header.reference(), &[0, 1, 2]);
    bench.hear(1, Message::Entry(Entry::Certified(certificate)));
    assert!(bench.core.view_deadline.0 - bench.now <= 2000);
}

#[test]
fn the_timer_allows_for_round_trips_to_a_quorum_and_to_both_leaders() {
    use crate::Input;
    let mut bench = Bench::new(0, Votes::Leaders);
    let next = bench.maker.leader(2);
    let far = (0..4).find(|index| *index != next && *index != bench.maker.leader(1)).unwrap();
    bench.step(Input::RoundTrip { to: ValidatorIndex(far), rtt_ms: 300 });
    bench.step(Input::Start);
    assert_eq!(bench.core.view_deadline.0 - bench.now, 100, "one far validator of four is not needed");
    let mut bench = Bench::new(0, Votes::Leaders);
    bench.step(Input::RoundTrip { to: ValidatorIndex(next), rtt_ms: 300 });
    bench.step(Input::Start);
    assert_eq!(bench.core.view_deadline.0 - bench.now, 1000);
}
