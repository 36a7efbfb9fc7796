//! Rule 6: by pairs of consecutive certificates, or by commit votes.

use super::net::Bench;
use crate::{Output, Votes};
use chorale_types::{CommitProof, Entry, High, Message, Proposal, QuorumCertificate, Tip};

fn certify(bench: &mut Bench, certificate: &QuorumCertificate) {
    bench.hear(1, Message::Entry(Entry::Certified(certificate.clone())));
}

fn show(bench: &mut Bench, tip: &Tip) {
    bench.hear(tip.header.author.0, Message::Proposal(Proposal::Fresh(tip.clone())));
}

#[test]
fn two_consecutive_certificates_commit_the_first_block_and_its_ancestors_oldest_first() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let maker = bench.maker.clone();
    // Blocks of views 1 and 3, then 5 and 6: only the last two are consecutive.
    let first = maker.chain(&maker.start(), 1, 1).remove(0);
    let mut parent = first.clone();
    let mut all = vec![first];
    for view in [3, 5] {
        let high = High::Certified(parent.1.clone());
        let known: Vec<_> = (0..3).map(|by| (by, high.clone())).collect();
        let tip = maker.tip(view, &parent.1, Some(&maker.timeouts(view - 1, &known)));
        parent = (tip.clone(), maker.certificate(view, tip.header.reference(), &[0, 1, 2]));
        all.push(parent.clone());
    }
    let last = maker.chain(&parent.1, 6, 1).remove(0);
    all.push(last);
    for (tip, certificate) in &all[..3] {
        show(&mut bench, tip);
        certify(&mut bench, certificate);
        assert!(bench.committed().is_empty());
    }
    show(&mut bench, &all[3].0);
    certify(&mut bench, &all[3].1);
    let expected: Vec<_> = all[..3].iter().map(|(tip, _)| tip.header.reference()).collect();
    assert_eq!(bench.committed(), expected);
    assert!(matches!(bench.proof(), Some(CommitProof::Pair(pair)) if pair.block == all[2].1 && pair.child == all[3].1));
}

#[test]
fn the_order_in_which_certificates_and_headers_come_does_not_matter() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [1, 3, 0, 2]] {
        let mut bench = Bench::new(0, Votes::Leaders).started();
        let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
        let mut committed = Vec::new();
        for step in order {
            match step {
                0 | 1 => certify(&mut bench, &chain[step].1),
                _ => show(&mut bench, &chain[step - 2].0),
            }
            committed.extend(bench.committed());
        }
        // What was missed is fetched; here nobody answers, so the header's arrival has to do.
        assert_eq!(committed, [chain[0].0.header.reference()], "{order:?}");
    }
}

#[test]
fn a_reproposed_block_needs_a_child_too() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let maker = bench.maker.clone();
    let tip = maker.tip(1, &maker.start(), None);
    show(&mut bench, &tip);
    let again = maker.certificate(2, tip.header.reference(), &[0, 1, 2]);
    certify(&mut bench, &again);
    assert!(bench.committed().is_empty());
    let child = maker.tip(3, &again, None);
    show(&mut bench, &child);
    let child = maker.certificate(3, child.header.reference(), &[0, 1, 2]);
    certify(&mut bench, &child);
    assert_eq!(bench.committed(), [tip.header.reference()]);
}

#[test]
fn a_commit_vote_follows_a_certificate_unless_its_view_was_given_up() {
    let mut bench = Bench::new(0, Votes::All).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 3);
    certify(&mut bench, &chain[0].1);
    let voted = |bench: &Bench| bench.sent().iter().any(|message| matches!(message, Message::CommitVote(_)));
    assert!(voted(&bench));
    let record = bench.record().unwrap();
    assert!(record.high.view >= chain[0].1.view && record.view > chain[0].1.view);
    certify(&mut bench, &chain[0].1);
    assert!(!voted(&bench), "once");
    bench.tick();
    certify(&mut bench, &chain[1].1);
    assert!(!voted(&bench), "view 2 was given up");
    certify(&mut bench, &chain[2].1);
    assert!(voted(&bench));
}

#[test]
fn a_quorum_of_commit_votes_commits() {
    let mut bench = Bench::new(0, Votes::All).started();
    let (tip, certificate) = bench.maker.chain(&bench.maker.start(), 1, 1).remove(0);
    show(&mut bench, &tip);
    certify(&mut bench, &certificate);
    for by in 1..3 {
        assert!(bench.committed().is_empty());
        let vote = bench.maker.commit_vote(by, 1, tip.header.reference());
        bench.hear(by, Message::CommitVote(vote));
    }
    assert_eq!(bench.committed(), [tip.header.reference()]);
    assert!(matches!(bench.proof(), Some(CommitProof::Direct(_))));
    let vote = bench.maker.commit_vote(3, 1, tip.header.reference());
    bench.hear(3, Message::CommitVote(vote));
    assert!(bench.committed().is_empty(), "once");
}

#[test]
fn a_conflicting_commit_stops_the_node() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let maker = bench.maker.clone();
    let chain = maker.chain(&maker.start(), 1, 3);
    for (tip, certificate) in &chain {
        show(&mut bench, tip);
        certify(&mut bench, certificate);
    }
    // A quorum that also certifies another chain: more than a third is faulty.
    let known: Vec<_> = (0..3).map(|by| (by, High::Certified(maker.start()))).collect();
    let fork = maker.tip(5, &maker.start(), Some(&maker.timeouts(4, &known)));
    let mut parent = maker.certificate(5, fork.header.reference(), &[0, 1, 2]);
    let mut tips = vec![fork];
    for view in 6..9 {
        let tip = maker.tip(view, &parent, None);
        parent = maker.certificate(view, tip.header.reference(), &[0, 1, 2]);
        tips.push(tip);
    }
    let mut conflict = false;
    for tip in &tips {
        show(&mut bench, tip);
        conflict |= bench.out.iter().any(|output| matches!(output, Output::Conflict { .. }));
    }
    certify(&mut bench, &parent);
    conflict |= bench.out.iter().any(|output| matches!(output, Output::Conflict { .. }));
    assert!(conflict && bench.committed().is_empty());
}
