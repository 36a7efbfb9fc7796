//! A node resumes where its record says, and contradicts nothing that it said before.

use super::net::{Bench, Net, parameters};
use crate::{
    Input, Output, Record, Votes,
    tests::objects::{epoch, everybody},
};
use chorale_types::{Entry, Epoch, EpochInfo, Header, Height, High, Message, Proposal, Tip, View};

fn restarted(bench: &Bench, votes: Votes, record: Record, headers: Vec<Header>) -> Bench {
    let index = bench.core.index.unwrap().0;
    Bench::with(index, parameters(votes), bench.maker.info.clone(), Some(record), headers, true).started()
}

/// A node that has voted in view 2, with its record.
fn voted(votes: Votes) -> (Bench, Record, Tip) {
    let probe = Bench::new(0, votes);
    let index = (0..4).find(|index| probe.maker.leader(2) != *index && probe.maker.leader(3) != *index).unwrap();
    let mut bench = Bench::new(index, votes).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    bench.hear(1, Message::Entry(Entry::Certified(chain[0].1.clone())));
    let tip = chain[1].0.clone();
    bench.hear(tip.header.author.0, Message::Proposal(Proposal::Fresh(tip.clone())));
    let record = bench.record().unwrap();
    (bench, record, tip)
}

#[test]
fn it_resends_its_last_vote_and_commit_vote_unchanged() {
    let (bench, record, tip) = voted(Votes::All);
    let again = restarted(&bench, Votes::All, record.clone(), vec![tip.header.unshared()]);
    assert_eq!(again.core.view(), View(2));
    let sent = again.sent();
    assert!(sent.contains(&&Message::Vote(record.vote.unwrap())));
    assert!(sent.contains(&&Message::CommitVote(record.commit_vote.unwrap())));
}

#[test]
fn it_does_not_vote_again_in_its_view() {
    let (bench, record, tip) = voted(Votes::Leaders);
    let mut again = restarted(&bench, Votes::Leaders, record, Vec::new());
    let mut header = tip.header.unshared();
    header.timestamp.0 -= 1;
    let other = again.maker.tip_of(header, None);
    again.hear(other.header.author.0, Message::Proposal(Proposal::Fresh(other)));
    assert!(again.sent().is_empty());
}

#[test]
fn it_reports_its_vote_when_it_gives_up() {
    let (bench, record, tip) = voted(Votes::Leaders);
    let mut again = restarted(&bench, Votes::Leaders, record, Vec::new());
    again.tick();
    let Some(Message::Timeout(timeout)) = again.sent().last().copied() else { panic!("a timeout") };
    assert_eq!(timeout.high, High::Voted(tip));
}

#[test]
fn it_resends_its_timeout_unchanged_and_does_not_vote_in_that_view() {
    let mut bench = voted(Votes::Leaders).0;
    bench.tick();
    let record = bench.record().unwrap();
    let sent = record.timeout.clone().unwrap();
    let mut again = restarted(&bench, Votes::Leaders, record, Vec::new());
    assert!(again.sent().contains(&&Message::Timeout(sent.clone())));
    again.tick();
    assert_eq!(again.sent(), [&Message::Timeout(sent)]);
}

#[test]
fn a_leader_resends_its_proposal_and_makes_no_other() {
    let info = epoch(&[1; 4], u64::MAX);
    let leader = info.leader(View(1)).0;
    let mut bench = Bench::with(leader, parameters(Votes::Leaders), info, None, Vec::new(), true).started();
    bench.step(Input::Content { view: View(1), payloads: chorale_types::codec::List::default() });
    let record = bench.record().unwrap();
    let proposal = record.proposal.clone().unwrap();
    let again = restarted(&bench, Votes::Leaders, record, Vec::new());
    assert!(again.sent().contains(&&Message::Proposal(proposal)));
    assert!(!again.out.iter().any(|output| matches!(output, Output::WantContent { .. })));
}

#[test]
fn headers_on_disk_commit_after_a_restart() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 3);
    let record = Record {
        view: View(3),
        entry: Some(Entry::Certified(chain[1].1.clone())),
        high: chain[1].1.clone(),
        ..Record::start(&bench.maker.info, bench.maker.info.start)
    };
    let headers = chain.iter().map(|(tip, _)| tip.header.unshared()).collect();
    let again = restarted(&bench, Votes::Leaders, record, headers);
    assert_eq!(again.committed(), [chain[0].0.header.reference()]);
    bench.step(Input::Tick);
}

#[test]
fn a_record_of_a_later_epoch_silences_the_node_until_it_is_past_it() {
    let mut info = epoch(&[1; 4], u64::MAX);
    info.epoch = Epoch(3);
    let record = Record::start(&info, info.start);
    info.epoch = Epoch(1);
    let mut bench = Bench::with(0, parameters(Votes::Leaders), info.clone(), Some(record), Vec::new(), true).started();
    for epoch in 1..=4 {
        info.epoch = Epoch(epoch);
        bench.step(Input::Epoch { info: info.clone(), index: Some(chorale_types::ValidatorIndex(0)) });
        bench.maker.info = info.clone();
        bench.tick();
        let timeout = bench.sent().iter().any(|message| matches!(message, Message::Timeout(_)));
        assert_eq!(timeout, epoch == 4);
    }
}

/// A node without its record, and the chain that it follows: headers of an epoch, certified in their own views.
fn follow(bench: &mut Bench, epoch: u64, timestamp: u64, reproposed: bool) {
    let mut info = bench.maker.info.clone();
    info.epoch = Epoch(epoch);
    bench.maker.info = info.clone();
    if epoch > 0 {
        bench.step(Input::Epoch { info, index: Some(chorale_types::ValidatorIndex(0)) });
    }
    let mut header = bench.maker.header(1, &bench.maker.start());
    header.timestamp = chorale_types::TimestampMs(timestamp);
    let tip = bench.maker.tip_of(header, None);
    let view = if reproposed { 2 } else { 1 };
    let certificate = bench.maker.certificate(view, tip.header.reference(), &everybody(&bench.maker));
    bench.hear(1, Message::Proposal(Proposal::Fresh(tip)));
    bench.hear(1, Message::Entry(Entry::Certified(certificate)));
}

fn gives_up(bench: &mut Bench) -> bool {
    bench.tick();
    bench.sent().iter().any(|message| matches!(message, Message::Timeout(_)))
}

#[test]
fn a_node_without_record_signs_in_no_epoch_that_may_have_begun_before_its_start() {
    let info = epoch(&[1; 4], u64::MAX);
    let mut bench = Bench::with(0, parameters(Votes::Leaders), info, None, Vec::new(), false).started();
    let (started, drift) = (bench.now, parameters(Votes::Leaders).clock_drift_ms);
    // The chain it is shown is old: epochs pass, and in each of them it may have signed before.
    for epoch in 0..4 {
        follow(&mut bench, epoch, started - 900 + epoch, false);
        assert!(!gives_up(&mut bench), "epoch {epoch}");
    }
    // As late as a header may claim to be that was voted for before the start, by a clock that is ahead of this node's; and
    // one that nobody voted for as fresh.
    follow(&mut bench, 4, started + 2 * drift, false);
    assert!(!gives_up(&mut bench));
    follow(&mut bench, 5, started + 2 * drift + 1_000_000, true);
    assert!(!gives_up(&mut bench));
    // This epoch goes on after the start, so the next one begins after it.
    follow(&mut bench, 6, started + 2 * drift + 1, false);
    assert!(!gives_up(&mut bench));
    follow(&mut bench, 7, started + 2 * drift + 2, false);
    assert!(gives_up(&mut bench));
}

/// Headers above the closing height are voted for also by those who have not heard that the epoch is over: it may have
/// been over, and this node in the next one, before it was started.
#[test]
fn headers_above_the_closing_height_do_not_let_a_node_without_record_sign() {
    for closing in [1, 2] {
        let info = epoch(&[1; 4], closing);
        let mut bench = Bench::with(0, parameters(Votes::Leaders), info.clone(), None, Vec::new(), false).started();
        let late = bench.now + 1_000_000;
        let (closing_block, certificate) = bench.maker.chain(&bench.maker.start(), 1, 1).remove(0);
        bench.hear(1, Message::Proposal(Proposal::Fresh(closing_block)));
        // A view is lost, so that nothing is committed.
        let given_up: Vec<(u16, High)> =
            everybody(&bench.maker).into_iter().map(|by| (by, High::Certified(certificate.clone()))).collect();
        let entry = bench.maker.timeouts(2, &given_up).quorum;
        let mut header = bench.maker.header(3, &certificate);
        header.timestamp = chorale_types::TimestampMs(late);
        let above = bench.maker.tip_of(header, Some(entry));
        let certificate = bench.maker.certificate(3, above.header.reference(), &everybody(&bench.maker));
        bench.hear(1, Message::Proposal(Proposal::Fresh(above)));
        bench.hear(1, Message::Entry(Entry::Certified(certificate)));
        let next = EpochInfo { epoch: Epoch(1), closing: Height(100), ..info };
        bench.maker.info = next.clone();
        bench.step(Input::Epoch { info: next, index: Some(chorale_types::ValidatorIndex(0)) });
        assert_eq!(gives_up(&mut bench), closing == 2, "closing height {closing}");
    }
}

#[test]
fn a_network_survives_that_all_its_nodes_restart_at_once() {
    for votes in [Votes::Leaders, Votes::All] {
        let mut net = Net::new(&[1, 2, 3, 1], parameters(votes), u64::MAX);
        net.start_all();
        for round in 1..20 {
            net.run(95);
            (0..4).for_each(|node| net.stop(node));
            net.start_all();
            net.run(405);
            assert!(net.height(0) > round * 15, "{votes:?} {round}: {}", net.height(0));
        }
    }
}

#[test]
fn a_validator_with_the_weight_of_a_quorum_does_not_wait_for_others_after_a_restart() {
    let info = epoch(&[1], u64::MAX);
    let mut bench = Bench::with(0, parameters(Votes::Leaders), info.clone(), None, Vec::new(), true).started();
    bench.now = bench.core.deadline().unwrap().0;
    bench.step(Input::Tick);
    assert_eq!(bench.core.view(), View(2));
    // The record with the timeout became durable, the one with the next view did not.
    let record = bench.out.iter().find_map(|output| match output {
        Output::Persist(record) => Some(Record::clone(record)),
        _ => None,
    });
    let record = record.filter(|record| record.view == View(1) && record.timeout.is_some()).unwrap();
    let again = Bench::with(0, parameters(Votes::Leaders), info, Some(record), Vec::new(), true).started();
    assert_eq!(again.core.view(), View(2));
}
