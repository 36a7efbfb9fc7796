//! Every kind of evidence is found from what arrives, and proves itself.

use super::net::Bench;
use crate::{Votes, mock::VERIFIED};
use chorale_types::{
    BlockId, BlockReference, Entry, Fault, Height, High, Message, Proposal, Reproposal, Signature, Statement,
    TimestampMs, Tip, ValidatorIndex, View, Vote, tagged_hash,
};

fn expect(bench: &Bench, fault: Fault, offender: u16) {
    let evidence = bench.evidence();
    assert_eq!(evidence.len(), 1, "{:?}", bench.out);
    assert_eq!((evidence[0].fault(), evidence[0].offender), (Some(fault), ValidatorIndex(offender)));
    for (statement, signature) in
        [(evidence[0].first, evidence[0].first_signature), (evidence[0].second, evidence[0].second_signature)]
    {
        assert_eq!(bench.maker.sign(offender, &statement), signature);
    }
}

/// A node that does not lead view 1, and the leader of that view.
fn bystander() -> (Bench, u16) {
    let leader = Bench::new(0, Votes::Leaders).maker.leader(1);
    (Bench::new(u16::from(leader == 0), Votes::Leaders).started(), leader)
}

fn other(bench: &Bench, tip: &Tip) -> Tip {
    let mut header = tip.header.unshared();
    header.timestamp = TimestampMs(999);
    bench.maker.tip_of(header, tip.entry.clone())
}

#[test]
fn two_headers_of_one_view() {
    let (mut bench, leader) = bystander();
    let one = bench.maker.tip(1, &bench.maker.start(), None);
    let two = other(&bench, &one);
    bench.hear(leader, Message::Proposal(Proposal::Fresh(one)));
    bench.hear(leader, Message::Proposal(Proposal::Fresh(two.clone())));
    expect(&bench, Fault::DoubleHeader, leader);
    bench.hear(leader, Message::Proposal(Proposal::Fresh(two)));
    assert!(bench.evidence().is_empty(), "once");
}

#[test]
fn headers_that_come_again_and_ever_more_of_one_leader_are_not_verified() {
    let (mut bench, leader) = bystander();
    let one = bench.maker.tip(1, &bench.maker.start(), None);
    bench.hear(leader, Message::Proposal(Proposal::Fresh(one.clone())));
    // The same block, entered by something else: no second block, but another signature to verify.
    let entered = |known: &[u16]| {
        let known: Vec<(u16, High)> = known.iter().map(|by| (*by, High::Certified(bench.maker.start()))).collect();
        Some(bench.maker.timeouts(0, &known).quorum)
    };
    let variants: Vec<Tip> = [&[0, 1, 2][..], &[1, 2, 3], &[0, 2, 3], &[0, 1, 3], &[0, 1, 2, 3]]
        .map(|known| Tip { entry: entered(known), ..one.clone() })
        .into();
    let verified = VERIFIED.get();
    for tip in variants {
        bench.hear(leader, Message::Proposal(Proposal::Fresh(tip)));
    }
    assert_eq!(VERIFIED.get(), verified);

    let another = |bench: &Bench, timestamp| {
        let mut header = one.header.unshared();
        header.timestamp = TimestampMs(timestamp);
        Message::Proposal(Proposal::Fresh(bench.maker.tip_of(header, None)))
    };
    let two = another(&bench, 999);
    bench.hear(leader, two);
    expect(&bench, Fault::DoubleHeader, leader);
    let verified = VERIFIED.get();
    for timestamp in 0..10 {
        let more = another(&bench, timestamp);
        bench.hear(leader, more);
    }
    assert_eq!(VERIFIED.get(), verified, "it is guilty already");
}

#[test]
fn contradictions_that_prove_nothing_are_blamed_on_their_sender() {
    let (mut bench, leader) = bystander();
    let vote = |bench: &Bench, number: u8| {
        let id = BlockId(tagged_hash("test/block", &[&[number]]));
        let block = BlockReference { view: View(1), parent: View(0), height: Height(1), id };
        Message::Vote(Vote { signature: Signature::NONE, ..bench.maker.vote(leader, 1, block) })
    };
    let [first, second] = [0, 1].map(|number| vote(&bench, number));
    bench.hear(leader, first);
    assert!(bench.blamed().is_empty(), "nothing shows yet that it is wrong");
    bench.hear(leader, second);
    assert_eq!(bench.blamed(), [leader]);
    assert!(bench.evidence().is_empty());
}

#[test]
fn a_second_header_that_comes_with_a_timeout() {
    let (mut bench, leader) = bystander();
    let one = bench.maker.tip(1, &bench.maker.start(), None);
    let two = other(&bench, &one);
    let from = (0..4).find(|by| *by != leader && Some(ValidatorIndex(*by)) != bench.core.index).unwrap();
    bench.hear(leader, Message::Proposal(Proposal::Fresh(one)));
    let timeout = bench.maker.timeout(from, 1, High::Voted(two), None);
    bench.hear(from, Message::Timeout(timeout));
    expect(&bench, Fault::DoubleHeader, leader);
}

#[test]
fn two_proposals_of_one_view() {
    let (mut bench, _) = bystander();
    let maker = bench.maker.clone();
    let tip = maker.tip(1, &maker.start(), None);
    let leader = maker.leader(2);
    let again = |low: u16| {
        let known =
            [(low, High::Certified(maker.start())), (2, High::Voted(tip.clone())), (3, High::Voted(tip.clone()))];
        let timeout = maker.timeouts(1, &known);
        let statement = Statement::Reproposal { view: View(2), id: tip.header.id(), timeout: timeout.digest() };
        let signature = maker.sign(leader, &statement);
        Message::Proposal(Proposal::Again(Reproposal { timeout, signature }))
    };
    bench.hear(leader, again(0));
    bench.hear(leader, again(1));
    if Some(ValidatorIndex(leader)) == bench.core.index {
        assert!(bench.evidence().is_empty(), "nobody accuses himself");
    } else {
        expect(&bench, Fault::DoubleProposal, leader);
    }
}

#[test]
fn two_votes_in_one_view() {
    let (mut bench, _) = bystander();
    let one = bench.maker.tip(1, &bench.maker.start(), None);
    let two = other(&bench, &one);
    let (one, two) = (one.header.reference(), two.header.reference());
    let (first, second) = (bench.maker.vote(2, 1, one), bench.maker.vote(2, 1, two));
    bench.hear(2, Message::Vote(first));
    bench.hear(2, Message::Vote(second));
    expect(&bench, Fault::DoubleVote, 2);
}

#[test]
fn two_timeouts_of_one_view_with_different_ranks_also_when_it_is_over() {
    for over in [false, true] {
        let (mut bench, _) = bystander();
        let tip = bench.maker.tip(1, &bench.maker.start(), None);
        let one = bench.maker.timeout(2, 1, High::Certified(bench.maker.start()), None);
        let two = bench.maker.timeout(2, 1, High::Voted(tip), None);
        bench.hear(2, Message::Timeout(one));
        if over {
            let chain = bench.maker.chain(&bench.maker.start(), 1, 1);
            bench.hear(3, Message::Entry(Entry::Certified(chain[0].1.clone())));
        }
        bench.hear(2, Message::Timeout(two));
        expect(&bench, Fault::DoubleTimeout, 2);
    }
}

#[test]
fn a_vote_hidden_by_a_timeout_in_either_order() {
    for timeout_first in [false, true] {
        let (mut bench, _) = bystander();
        let block = bench.maker.tip(1, &bench.maker.start(), None).header.reference();
        let vote = Message::Vote(bench.maker.vote(2, 1, block));
        let timeout = Message::Timeout(bench.maker.timeout(2, 1, High::Certified(bench.maker.start()), None));
        let (first, second) = if timeout_first { (timeout, vote) } else { (vote, timeout) };
        bench.hear(2, first);
        bench.hear(2, second);
        expect(&bench, Fault::HiddenVote, 2);
    }
}

#[test]
fn a_commit_vote_hidden_by_a_later_timeout_in_either_order() {
    for timeout_first in [false, true] {
        let (mut bench, _) = bystander();
        let maker = bench.maker.clone();
        let chain = maker.chain(&maker.start(), 1, 2);
        bench.hear(3, Message::Entry(Entry::Certified(chain[1].1.clone())));
        let promise = Message::CommitVote(maker.commit_vote(2, 2, chain[1].0.header.reference()));
        let low = High::Certified(chain[0].1.clone());
        let broken = Message::Timeout(maker.timeout(2, 3, low, Some(Entry::Certified(chain[1].1.clone()))));
        let (first, second) = if timeout_first { (broken, promise) } else { (promise, broken) };
        bench.hear(2, first);
        bench.hear(2, second);
        expect(&bench, Fault::HiddenCommit, 2);
    }
}

#[test]
fn honest_behaviour_and_false_signatures_are_no_evidence() {
    let (mut bench, _) = bystander();
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    let two = other(&bench, &tip).header.reference();
    let vote = bench.maker.vote(2, 1, tip.header.reference());
    bench.hear(2, Message::Vote(vote));
    let mut forged = bench.maker.vote(2, 1, two);
    forged.signature = vote.signature;
    bench.hear(2, Message::Vote(forged));
    assert!(bench.evidence().is_empty());
    let timeout = bench.maker.timeout(2, 1, High::Voted(tip), None);
    bench.hear(2, Message::Timeout(timeout));
    assert!(bench.evidence().is_empty());
}
