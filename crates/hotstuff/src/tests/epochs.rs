//! Rule 10: epochs end with their closing block, for all the same.

use super::net::{Bench, Net, parameters};
use crate::{
    Input, Output, Votes,
    tests::objects::{Maker, epoch},
};
use chorale_types::{
    CommitPair, CommitProof, Entry, Epoch, High, Message, Nudge, Proposal, Validator, ValidatorIndex, ValidatorSet,
    View, codec::List,
};

fn bench(closing: u64) -> Bench {
    Bench::with(0, parameters(Votes::Leaders), epoch(&[1; 4], closing), None, Vec::new(), true).started()
}

#[test]
fn epochs_follow_each_other_without_gap_and_without_a_lost_view() {
    for votes in [Votes::Leaders, Votes::All] {
        let mut net = Net::new(&[1, 2, 1, 1], parameters(votes), 5);
        net.start_all();
        net.run(3000);
        assert!(net.epochs.len() > 10, "{}", net.epochs.len());
        for node in 0..4 {
            assert_eq!(net.timeouts(node), vec![], "{votes:?}");
        }
    }
}

#[test]
fn nothing_above_the_closing_height_is_committed_and_headers_there_are_empty() {
    let mut bench = bench(2);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 5);
    let mut committed = Vec::new();
    let mut ended = None;
    for (tip, certificate) in &chain {
        bench.hear(tip.header.author.0, Message::Proposal(Proposal::Fresh(tip.clone())));
        bench.hear(1, Message::Entry(Entry::Certified(certificate.clone())));
        committed.extend(bench.committed());
        ended = ended.or(bench.out.iter().find_map(|output| match output {
            Output::EpochEnded { start, .. } => Some(*start),
            _ => None,
        }));
    }
    let closing = chain[1].0.header.reference();
    assert_eq!(committed, [chain[0].0.header.reference(), closing]);
    let start = ended.unwrap();
    assert_eq!((start.view, start.parent, start.height, start.id), (View(0), View(0), closing.height, closing.id));

    let mut bench = super::epochs::bench(2);
    let mut header = bench.maker.header(3, &chain[1].1);
    header.payloads = List::new(vec![bench.maker.payload(header.author.0, 1)]).unwrap();
    let full = bench.maker.tip_of(header, None);
    bench.hear(full.header.author.0, Message::Proposal(Proposal::Fresh(full.clone())));
    assert_eq!(bench.blamed(), [full.header.author.0]);
}

#[test]
fn the_end_is_told_to_all_and_again_to_whoever_is_still_in_the_epoch() {
    let mut bench = bench(1);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    bench.hear(1, Message::Proposal(Proposal::Fresh(chain[0].0.clone())));
    bench.hear(1, Message::Entry(Entry::Certified(chain[0].1.clone())));
    bench.hear(1, Message::Entry(Entry::Certified(chain[1].1.clone())));
    let pair = CommitPair { block: chain[0].1.clone(), child: chain[1].1.clone() };
    let farewell = Message::Commit(CommitProof::Pair(pair));
    assert!(bench.sent().contains(&&farewell));
    let late = bench.maker.timeout(2, 1, High::Certified(bench.maker.start()), None);
    bench.hear(2, Message::Timeout(late.clone()));
    assert_eq!(bench.sent(), [&farewell]);
    // A farewell is not answered with one.
    bench.hear(2, farewell.clone());
    assert!(bench.sent().is_empty());
    // Also from the next epoch.
    let mut info = bench.maker.info.clone();
    info.epoch = Epoch(1);
    info.start = chain[0].0.header.reference();
    (info.start.view, info.start.parent) = (View(0), View(0));
    info.closing.0 = 10;
    bench.step(Input::Epoch { info, index: None });
    bench.now += 100;
    bench.hear(2, Message::Timeout(late));
    assert_eq!(bench.sent(), [&farewell]);
}

#[test]
fn who_speaks_early_is_not_blamed_for_standing_elsewhere_in_the_next_epoch() {
    let mut bench = bench(1);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    // Without validator 1, those after it stand one place lower.
    let before: Vec<Validator> = bench.maker.info.validators.iter().map(|(_, validator)| validator.clone()).collect();
    let mut next = bench.maker.info.clone();
    next.epoch = Epoch(1);
    next.validators = ValidatorSet::new([0, 2, 3].map(|index| before[index].clone()).into()).unwrap();
    next.start = chain[0].0.header.reference();
    (next.start.view, next.start.parent) = (View(0), View(0));
    next.closing.0 = 10;
    let maker = Maker::new(next.clone());
    let timeout = |by| Message::Timeout(maker.timeout(by, 1, High::Certified(maker.start()), None));
    bench.hear(2, timeout(1));
    bench.hear(3, timeout(2));
    bench.hear(1, timeout(2));
    bench.hear(1, Message::Proposal(Proposal::Fresh(chain[0].0.clone())));
    bench.hear(1, Message::Entry(Entry::Certified(chain[0].1.clone())));
    bench.hear(1, Message::Entry(Entry::Certified(chain[1].1.clone())));
    bench.step(Input::Epoch { info: next, index: Some(ValidatorIndex(0)) });
    assert_eq!(bench.blamed(), [0; 0]);
    // They count: a third of the others has given the view up, so this node does.
    assert!(bench.sent().iter().any(|message| matches!(message, Message::Timeout(_))), "{:?}", bench.sent());
}

#[test]
fn who_names_one_epoch_after_another_is_answered_no_more_often() {
    let mut bench = bench(1);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    bench.hear(1, Message::Proposal(Proposal::Fresh(chain[0].0.clone())));
    bench.hear(1, Message::Entry(Entry::Certified(chain[0].1.clone())));
    bench.hear(1, Message::Entry(Entry::Certified(chain[1].1.clone())));
    let mut next = bench.maker.info.clone();
    next.epoch = Epoch(2);
    next.start = chain[0].0.header.reference();
    (next.start.view, next.start.parent) = (View(0), View(0));
    next.closing.0 = 10;
    bench.step(Input::Epoch { info: next, index: None });
    let mut answered = 0;
    for epoch in [0, 1, 0, 1, 0] {
        let nudge = Nudge { epoch: Epoch(epoch), view: View(1) };
        let out = bench.hear(2, Message::Nudge(nudge));
        answered += out.iter().filter(|it| matches!(it, Output::Send { .. } | Output::Behind { .. })).count();
    }
    assert_eq!(answered, 1);
}

#[test]
fn a_farewell_shows_the_end_also_if_only_a_descendant_is_proven() {
    let mut first = bench(1);
    let maker = first.maker.clone();
    // The closing block is certified in view 1, view 2 is lost, and the pair of views 3 and 4 commits its child.
    let (closing, certified) = maker.chain(&maker.start(), 1, 1).remove(0);
    let known: Vec<_> = (0..3).map(|by| (by, High::Certified(certified.clone()))).collect();
    let child = maker.tip(3, &certified, Some(&maker.timeouts(2, &known)));
    let child_certified = maker.certificate(3, child.header.reference(), &[0, 1, 2]);
    let last = maker.chain(&child_certified, 4, 1).remove(0);
    for tip in [&closing, &child, &last.0] {
        first.hear(tip.header.author.0, Message::Proposal(Proposal::Fresh(tip.clone())));
    }
    first.hear(1, Message::Entry(Entry::Certified(last.1)));
    let farewell = first.out.iter().find_map(|output| match output {
        Output::EpochEnded { farewell, .. } => Some(farewell.clone()),
        _ => None,
    });
    let farewell = farewell.unwrap();
    assert_eq!(first.committed(), [closing.header.reference()]);
    // Somebody who only has the closing header, and can get no header above it.
    let mut second = bench(1);
    second.hear(1, Message::Proposal(Proposal::Fresh(closing.clone())));
    let mut ended = false;
    for message in farewell {
        second.hear(3, message);
        ended |= second.out.iter().any(|output| matches!(output, Output::EpochEnded { .. }));
    }
    assert!(ended);
    assert_eq!(second.core.committed().id, closing.header.id());
}

#[test]
fn an_end_from_before_the_start_of_the_node_is_in_the_archive() {
    let mut info = epoch(&[1; 4], 10);
    info.epoch = Epoch(4);
    let mut bench = Bench::with(0, parameters(Votes::Leaders), info, None, Vec::new(), true).started();
    bench.hear(2, Message::Nudge(Nudge { epoch: Epoch(2), view: View(9) }));
    assert_eq!(bench.out, [Output::Behind { peer: ValidatorIndex(2), epoch: Epoch(2) }]);
}

#[test]
fn a_node_that_was_away_for_epochs_catches_up() {
    let mut net = Net::new(&[1; 4], parameters(Votes::Leaders), 4);
    for node in 0..3 {
        net.start(node);
    }
    net.run(3000);
    assert!(net.epochs.len() > 5);
    net.start(3);
    net.run(2000);
    assert!(net.height(3) + 10 > net.height(0), "{} of {}", net.height(3), net.height(0));
}

#[test]
fn a_node_that_stopped_at_the_end_of_an_epoch_asks_for_the_next_again() {
    let info = epoch(&[1; 4], 1);
    let chain = Maker::new(info.clone()).chain(&info.start_certificate(), 1, 1);
    let config = crate::Config {
        parameters: parameters(Votes::Leaders),
        index: Some(ValidatorIndex(0)),
        committed: chain[0].0.header.reference(),
        may_sign: true,
    };
    let mut core = crate::Core::new(config, info, crate::mock::MockScheme::new(ValidatorIndex(0)), None, Vec::new());
    let out = core.step(Input::Start, chorale_types::TimestampMs(5));
    assert!(matches!(out[..], [Output::EpochEnded { start, .. }] if start.id == chain[0].0.header.id()));
    assert_eq!(core.deadline(), None);
}
