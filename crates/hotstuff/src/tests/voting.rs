//! Rule 3: one vote per view, for the first valid proposal, and none in a view given up.

use super::net::{BEGIN_MS, Bench};
use crate::{Input, Output, To, Votes};
use chorale_types::{
    BlockReference, High, Message, Proposal, Reproposal, Statement, TimeoutCertificate, TimestampMs, Tip,
    ValidatorIndex, View,
};

/// A node that leads neither of the first two views.
fn bystander(votes: Votes) -> Bench {
    let probe = Bench::new(0, votes);
    let leaders = [probe.maker.leader(1), probe.maker.leader(2)];
    let index = (0..4).find(|index| !leaders.contains(index)).unwrap();
    Bench::new(index, votes).started()
}

fn votes(bench: &Bench) -> Vec<(To, BlockReference)> {
    let vote = |output: &Output| match output {
        Output::Send { to, message: Message::Vote(vote) } => Some((*to, vote.block)),
        _ => None,
    };
    bench.out.iter().filter_map(vote).collect()
}

fn propose(bench: &mut Bench, tip: &Tip) -> Vec<(To, BlockReference)> {
    let from = tip.header.author.0;
    bench.hear(from, Message::Proposal(Proposal::Fresh(tip.clone())));
    votes(bench)
}

fn again(bench: &Bench, timeout: &TimeoutCertificate) -> Message {
    let High::Voted(tip) = &timeout.high else { panic!("a header") };
    let view = timeout.view().next();
    let statement = Statement::Reproposal { view, id: tip.header.id(), timeout: timeout.digest() };
    let signature = bench.maker.sign(bench.maker.leader(view.0), &statement);
    Message::Proposal(Proposal::Again(Reproposal { timeout: timeout.clone(), signature }))
}

#[test]
fn a_vote_goes_to_both_leaders_or_to_all() {
    let mut bench = bystander(Votes::Leaders);
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    let mut leaders = vec![bench.maker.leader(1), bench.maker.leader(2)];
    leaders.dedup();
    let block = tip.header.reference();
    let expected: Vec<_> = leaders.iter().map(|leader| (To::One(ValidatorIndex(*leader)), block)).collect();
    assert_eq!(propose(&mut bench, &tip), expected);
    let mut bench = bystander(Votes::All);
    assert_eq!(propose(&mut bench, &tip), [(To::All, block)]);
}

#[test]
fn the_header_and_the_record_are_durable_before_the_vote() {
    let mut bench = bystander(Votes::Leaders);
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    propose(&mut bench, &tip);
    let position = |wanted: fn(&Output) -> bool| bench.out.iter().position(wanted).unwrap();
    let sent = position(|output| matches!(output, Output::Send { .. }));
    assert!(position(|output| matches!(output, Output::PersistHeader(_))) < sent);
    assert!(position(|output| matches!(output, Output::Persist(_))) < sent);
    let record = bench.record().unwrap();
    assert_eq!((record.vote.unwrap().block, record.tip), (tip.header.reference(), Some(tip)));
}

#[test]
fn one_vote_per_view() {
    let mut bench = bystander(Votes::Leaders);
    let one = bench.maker.tip(1, &bench.maker.start(), None);
    let mut header = one.header.unshared();
    header.timestamp = TimestampMs(1001);
    let other = bench.maker.tip_of(header, None);
    assert!(!propose(&mut bench, &one).is_empty());
    assert!(propose(&mut bench, &other).is_empty());
    assert!(propose(&mut bench, &one).is_empty());
}

#[test]
fn no_vote_in_a_view_given_up() {
    let mut bench = bystander(Votes::Leaders);
    bench.tick();
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    assert!(propose(&mut bench, &tip).is_empty());
}

#[test]
fn a_timestamp_ahead_of_the_clock_stops_a_fresh_header_and_not_a_reproposal() {
    let mut bench = bystander(Votes::Leaders);
    let mut header = bench.maker.header(1, &bench.maker.start());
    header.timestamp = TimestampMs(BEGIN_MS + 501);
    let ahead = bench.maker.tip_of(header, None);
    assert!(propose(&mut bench, &ahead).is_empty());
    let low = High::Certified(bench.maker.start());
    let timeout = bench.maker.timeouts(1, &[(0, low.clone()), (1, low), (2, High::Voted(ahead.clone()))]);
    let message = again(&bench, &timeout);
    bench.hear(bench.maker.leader(2), message);
    assert_eq!(votes(&bench).first().map(|(_, block)| *block), Some(ahead.header.reference()));
    let mut bench = bystander(Votes::Leaders);
    let mut header = bench.maker.header(1, &bench.maker.start());
    header.timestamp = TimestampMs(BEGIN_MS + 500);
    let tip = bench.maker.tip_of(header, None);
    assert!(!propose(&mut bench, &tip).is_empty());
}

/// Such a header used to be forgotten: leaders whose clocks are a little ahead lost their views.
#[test]
fn a_header_ahead_of_the_clock_is_voted_for_when_the_clock_is_there() {
    let mut bench = bystander(Votes::Leaders);
    let mut header = bench.maker.header(1, &bench.maker.start());
    header.timestamp = TimestampMs(BEGIN_MS + 540);
    let ahead = bench.maker.tip_of(header, None);
    assert!(propose(&mut bench, &ahead).is_empty());
    assert_eq!(bench.core.deadline(), Some(TimestampMs(BEGIN_MS + 40)));
    bench.tick();
    assert_eq!(votes(&bench).first().map(|(_, block)| *block), Some(ahead.header.reference()));
    assert!(bench.core.deadline() > Some(TimestampMs(BEGIN_MS + 40)), "once");

    // One that is ahead by more than the view takes costs its leader the view, and nobody votes for it afterwards.
    let mut bench = bystander(Votes::Leaders);
    let mut header = bench.maker.header(1, &bench.maker.start());
    header.timestamp = TimestampMs(BEGIN_MS + 1_000_000);
    let ahead = bench.maker.tip_of(header, None);
    assert!(propose(&mut bench, &ahead).is_empty());
    bench.tick();
    assert!(bench.record().unwrap().timeout.is_some());
    bench.now = BEGIN_MS + 1_000_000;
    bench.step(Input::Tick);
    assert!(votes(&bench).is_empty());
}

#[test]
fn the_parent_need_not_be_known() {
    let mut bench = bystander(Votes::Leaders);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 5);
    let tip = bench.maker.tip(6, &chain[4].1, None);
    let voted = propose(&mut bench, &tip);
    assert!(voted.iter().all(|(_, block)| *block == tip.header.reference()) && bench.core.view() == View(6));
    assert!(bench.record().unwrap().vote.is_some());
}

#[test]
fn a_reproposal_keeps_the_rank_of_its_header() {
    let mut bench = bystander(Votes::Leaders);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    let low = High::Certified(chain[0].1.clone());
    let timeout = bench.maker.timeouts(4, &[(0, low.clone()), (1, low), (2, High::Voted(chain[1].0.clone()))]);
    let message = again(&bench, &timeout);
    bench.hear(bench.maker.leader(5), message);
    assert_eq!(bench.core.view(), View(5));
    let record = bench.record().unwrap();
    assert_eq!(record.tip.as_ref(), Some(&chain[1].0));
    // Once the header has a certificate, that is what counts.
    bench.hear(1, Message::Entry(chorale_types::Entry::Certified(chain[1].1.clone())));
    bench.now = bench.core.view_deadline.0;
    bench.step(Input::Tick);
    let Some(Message::Timeout(timeout)) = bench.sent().last().copied() else { panic!("a timeout") };
    assert_eq!(timeout.high, High::Certified(chain[1].1.clone()));
}

#[test]
fn whoever_may_not_sign_follows_silently() {
    let info = super::objects::epoch(&[1; 4], u64::MAX);
    let leaders = [info.leader(View(1)).0, info.leader(View(2)).0];
    let index = (0..4).find(|index| !leaders.contains(index)).unwrap();
    let mut bench = Bench::with(index, super::net::parameters(Votes::All), info, None, Vec::new(), false).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 3);
    for (tip, certificate) in &chain {
        propose(&mut bench, tip);
        assert!(bench.sent().is_empty() && bench.record().is_none());
        bench.hear(1, Message::Entry(chorale_types::Entry::Certified(certificate.clone())));
    }
    assert_eq!(bench.core.committed(), chain[1].0.header.reference());
    bench.tick();
    assert!(bench.sent().is_empty() && bench.record().is_none());
}
