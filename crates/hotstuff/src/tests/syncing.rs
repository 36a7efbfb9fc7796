//! Rule 9: missing headers are fetched, and checked by their hashes.

use super::{
    net::{Bench, Net, parameters},
    objects::everybody,
};
use crate::{Input, Output, Votes, mock::VERIFIED};
use chorale_types::{CommitPair, CommitProof, Entry, Header, Message, Proposal, TimestampMs, Tip};

#[test]
fn headers_are_asked_for_when_something_provably_committed_is_missing() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 5);
    bench.hear(1, Message::Entry(Entry::Certified(chain[3].1.clone())));
    assert!(!bench.out.iter().any(|output| matches!(output, Output::WantHeaders { .. })));
    bench.hear(1, Message::Entry(Entry::Certified(chain[4].1.clone())));
    let header = &chain[3].0.header;
    let wanted = Output::WantHeaders { id: header.id(), height: header.height, above: bench.maker.info.start.height };
    assert!(bench.out.contains(&wanted));
    // Asked again if nobody answers.
    bench.now += 100;
    bench.step(Input::Tick);
    assert!(bench.out.contains(&wanted));
    // Only what hangs together with the proven block is taken.
    let mut forged = chain[2].0.header.unshared();
    forged.timestamp.0 += 1;
    bench.step(Input::Headers(vec![forged, header.unshared()]));
    assert!(bench.committed().is_empty());
    let missing: Vec<Header> = chain[..3].iter().map(|(tip, _)| tip.header.unshared()).collect();
    bench.step(Input::Headers(missing));
    assert_eq!(bench.committed(), chain[..4].iter().map(|(tip, _)| tip.header.reference()).collect::<Vec<_>>());
    // They are durable before they count as committed.
    let persisted = bench.out.iter().filter(|output| matches!(output, Output::PersistHeader(_))).count();
    assert_eq!(persisted, 4);
    assert!(matches!(bench.out[4], Output::Committed { .. }));
}

#[test]
fn a_commit_proof_that_is_no_news_is_not_verified() {
    let mut bench = Bench::new(0, Votes::All).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 20);
    let direct = |bench: &Bench, height: usize| bench.maker.direct(chain[height - 1].0.header.reference());
    let pair = |height: usize| {
        CommitProof::Pair(CommitPair { block: chain[height - 1].1.clone(), child: chain[height].1.clone() })
    };
    // The first is what it catches up to, the second what comes after that.
    for height in [10, 15] {
        let proof = direct(&bench, height);
        bench.hear(1, Message::Commit(proof));
    }
    bench.hear(1, Message::Commit(pair(16)));
    let verified = VERIFIED.get();
    for height in [8, 10, 12, 15, 16] {
        let proof = direct(&bench, height);
        bench.hear(1, Message::Commit(proof));
        bench.hear(2, Message::Commit(pair(height)));
    }
    assert_eq!(VERIFIED.get(), verified);
    assert!(bench.blamed().is_empty());
    let proof = direct(&bench, 18);
    bench.hear(1, Message::Commit(proof));
    assert_eq!(VERIFIED.get(), verified + 1);
    let headers = |heights: std::ops::Range<usize>| {
        Input::Headers(chain[heights].iter().map(|(tip, _)| tip.header.unshared()).collect())
    };
    bench.step(headers(0..10));
    assert_eq!(bench.committed().len(), 10);
    bench.step(headers(10..18));
    assert_eq!(bench.committed().len(), 8);
}

#[test]
fn a_node_that_was_away_catches_up_with_a_running_chain() {
    for headers_ahead_max in [0, 4, 1000] {
        let mut net = Net::new(&[1; 4], parameters(Votes::Leaders), u64::MAX);
        net.parameters.headers_ahead_max = headers_ahead_max;
        for node in 0..3 {
            net.start(node);
        }
        net.run(6000);
        let behind = net.height(0);
        net.start(3);
        net.run(1000);
        assert!(net.height(3) + 5 >= net.height(0) && net.height(0) > behind, "{}", net.height(3));
    }
}

#[test]
fn of_many_headers_of_one_view_few_are_kept_and_what_is_voted_for_always() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let first = bench.maker.tip(1, &bench.maker.start(), None);
    let leader = first.header.author.0;
    let view_1 = |by: u64| {
        let mut header = first.header.unshared();
        header.timestamp = TimestampMs(by);
        bench.maker.tip_of(header, None)
    };
    let variants: Vec<Tip> = (0..10).map(view_1).collect();
    for tip in &variants {
        bench.hear(leader, Message::Proposal(Proposal::Fresh(tip.clone())));
    }
    assert_eq!(bench.core.tree.headers().count(), 2);
    // Whichever of them is committed in the end, it is fetched.
    let last = &variants[9];
    let parent = bench.maker.certificate(1, last.header.reference(), &everybody(&bench.maker));
    let next = bench.maker.chain(&parent, 2, 1).remove(0);
    bench.hear(1, Message::Entry(Entry::Certified(parent)));
    bench.hear(1, Message::Entry(Entry::Certified(next.1)));
    let (id, height) = (last.header.id(), last.header.height);
    let wanted = Output::WantHeaders { id, height, above: bench.maker.info.start.height };
    assert!(bench.out.contains(&wanted));
    bench.step(Input::Headers(vec![last.header.unshared()]));
    assert_eq!(bench.committed(), [last.header.reference()]);
}

#[test]
fn headers_far_ahead_are_not_kept() {
    let mut bench = Bench::new(0, Votes::Leaders);
    bench.core.parameters.headers_ahead_max = 2;
    bench.step(Input::Start);
    let chain = bench.maker.chain(&bench.maker.start(), 1, 10);
    bench.step(Input::Tick);
    for (tip, _) in chain.iter().rev() {
        let from = tip.header.author.0;
        bench.hear(from, Message::Proposal(Proposal::Fresh(tip.clone())));
    }
    // The one voted for, and the two within reach.
    assert!(bench.core.tree.headers().count() <= 3);
}
