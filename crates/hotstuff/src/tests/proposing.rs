//! Rule 2: what a leader proposes.

use super::net::{Bench, parameters};
use crate::{Input, Output, Votes, tests::objects::epoch};
use chorale_types::{Entry, High, Message, Proposal, View, codec::List};

/// A node that leads this view, in a set where it does not lead the one after.
fn leader_of(view: u64) -> Bench {
    let info = epoch(&[1; 4], u64::MAX);
    let leader = info.leader(View(view)).0;
    Bench::with(leader, parameters(Votes::Leaders), info, None, Vec::new(), true).started()
}

fn proposal(bench: &Bench) -> Option<Proposal> {
    bench.sent().into_iter().find_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.clone()),
        _ => None,
    })
}

fn give_content(bench: &mut Bench, view: u64) -> Option<Proposal> {
    bench.step(Input::Content { view: View(view), payloads: List::default() });
    proposal(bench)
}

#[test]
fn entered_by_a_certificate_a_fresh_header_extends_it() {
    let mut bench = leader_of(3);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    bench.hear(1, Message::Entry(Entry::Certified(chain[1].1.clone())));
    assert!(bench.out.iter().any(|output| matches!(output, Output::WantContent { view: View(3), .. })));
    let Some(Proposal::Fresh(tip)) = give_content(&mut bench, 3) else { panic!("a fresh header") };
    assert_eq!((tip.header.parent.clone(), tip.entry), (chain[1].1.clone(), None));
}

#[test]
fn content_is_ordered_once_and_only_if_it_may_be() {
    let mut bench = leader_of(1);
    let (me, other) = (bench.maker.leader(1), (bench.maker.leader(1) + 1) % 4);
    let mut expired = bench.maker.payload(me, 3);
    expired.acknowledged.expiry = View(0);
    let good = bench.maker.payload(me, 1);
    let give = |payloads: Vec<_>| Input::Content { view: View(1), payloads: List::new(payloads).unwrap() };
    let stranger = bench.maker.payload(other, 2);
    bench.step(give(vec![stranger, good.clone()]));
    let Some(Proposal::Fresh(tip)) = proposal(&bench) else { panic!("a fresh header") };
    assert_eq!(tip.header.payloads[..], std::slice::from_ref(&good)[..]);
    bench.step(give(vec![expired, good]));
    assert_eq!(proposal(&bench), None, "once per view");
}

#[test]
fn entered_by_timeouts_that_know_a_certificate_the_header_extends_that_and_shows_them() {
    let mut bench = leader_of(6);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    let (low, high) = (High::Certified(chain[0].1.clone()), High::Certified(chain[1].1.clone()));
    let certificate = bench.maker.timeouts(5, &[(0, low), (1, high.clone()), (2, high)]);
    bench.hear(1, Message::Entry(Entry::TimedOut(certificate.clone())));
    let Some(Proposal::Fresh(tip)) = give_content(&mut bench, 6) else { panic!("a fresh header") };
    assert_eq!((tip.header.parent.clone(), tip.entry), (chain[1].1.clone(), Some(certificate.quorum)));
}

#[test]
fn entered_by_timeouts_that_know_a_header_the_same_header_is_proposed_again() {
    let mut bench = leader_of(6);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 3);
    let (low, high) = (High::Certified(chain[1].1.clone()), High::Voted(chain[2].0.clone()));
    let certificate = bench.maker.timeouts(5, &[(0, low.clone()), (1, high), (2, low)]);
    bench.hear(1, Message::Entry(Entry::TimedOut(certificate.clone())));
    let Some(Proposal::Again(again)) = proposal(&bench) else { panic!("the header again") };
    assert_eq!(again.timeout, certificate);
    let record = bench.record().unwrap();
    assert_eq!(record.vote.unwrap().block, chain[2].0.header.reference());
    assert_eq!(record.proposal, Some(Proposal::Again(again)));
}

#[test]
fn the_proposal_is_durable_before_it_leaves_and_its_header_before_the_vote() {
    let mut bench = leader_of(1);
    give_content(&mut bench, 1);
    let position = |wanted: fn(&Output) -> bool| bench.out.iter().position(wanted).unwrap();
    let header = position(|output| matches!(output, Output::PersistHeader(_)));
    let record = position(|output| matches!(output, Output::Persist(_)));
    let proposal = position(|output| matches!(output, Output::Send { message: Message::Proposal(_), .. }));
    assert!(header < proposal && record < proposal);
    let record = bench.record().unwrap();
    assert_eq!(record.vote.unwrap().view, View(1));
}
