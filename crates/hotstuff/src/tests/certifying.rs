//! Rules 4 and 5: certificates, liars among the voters, and what is certified.

use super::net::{Bench, parameters};
use crate::{Output, To, Votes, tests::objects::epoch};
use chorale_types::{Entry, Message, Signature, View};

fn leader(weights: &[u16]) -> Bench {
    let info = epoch(weights, u64::MAX);
    let leader = info.leader(View(1)).0;
    Bench::with(leader, parameters(Votes::Leaders), info, None, Vec::new(), true).started()
}

#[test]
fn a_quorum_of_votes_makes_a_certificate_that_the_leader_broadcasts() {
    let mut bench = leader(&[1; 4]);
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    let block = tip.header.reference();
    for by in 0..3 {
        assert_eq!(bench.core.view(), View(1));
        let vote = bench.maker.vote(by, 1, block);
        bench.hear(by, Message::Vote(vote));
    }
    assert_eq!(bench.core.view(), View(2));
    let sent = bench.out.iter().find_map(|output| match output {
        Output::Send { to: To::All, message: Message::Entry(Entry::Certified(certificate)) } => Some(certificate),
        _ => None,
    });
    assert_eq!(sent, Some(bench.core.high()));
    assert_eq!(bench.certified().len(), 1);
}

#[test]
fn weight_counts_and_not_heads() {
    let mut bench = leader(&[1, 1, 1, 7]);
    let block = bench.maker.tip(1, &bench.maker.start(), None).header.reference();
    for by in 0..3 {
        let vote = bench.maker.vote(by, 1, block);
        bench.hear(by, Message::Vote(vote));
    }
    assert_eq!(bench.core.view(), View(1));
    let vote = bench.maker.vote(3, 1, block);
    bench.hear(3, Message::Vote(vote));
    assert_eq!(bench.core.view(), View(2));
}

#[test]
fn false_signatures_are_found_and_their_senders_ignored() {
    for forged in [Signature::NONE, Bench::new(0, Votes::All).maker.vote(9, 1, epoch(&[1], 1).start).signature] {
        let mut bench = leader(&[1; 7]);
        let block = bench.maker.tip(1, &bench.maker.start(), None).header.reference();
        for by in 0..5 {
            let mut vote = bench.maker.vote(by, 1, block);
            if by == 2 {
                vote.signature = forged;
            }
            bench.hear(by, Message::Vote(vote));
        }
        assert_eq!((bench.blamed(), bench.core.view()), (vec![2], View(1)));
        let honest = bench.maker.vote(2, 1, block);
        bench.hear(2, Message::Vote(honest));
        assert_eq!(bench.core.view(), View(1), "ignored for the view");
        let vote = bench.maker.vote(5, 1, block);
        bench.hear(5, Message::Vote(vote));
        assert_eq!((bench.blamed(), bench.core.view()), (vec![], View(2)));
    }
}

#[test]
fn nobody_votes_in_the_name_of_another() {
    let mut bench = leader(&[1; 4]);
    let block = bench.maker.tip(1, &bench.maker.start(), None).header.reference();
    let vote = bench.maker.vote(1, 1, block);
    bench.hear(2, Message::Vote(vote));
    assert_eq!(bench.blamed(), [2]);
}

#[test]
fn only_a_fresh_header_is_certified_by_one_certificate() {
    let mut bench = leader(&[1; 4]);
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    let again = bench.maker.certificate(3, tip.header.reference(), &[0, 1, 2]);
    bench.hear(1, Message::Entry(Entry::Certified(again)));
    assert_eq!((bench.core.view(), bench.certified().len()), (View(4), 0));
    let fresh = bench.maker.certificate(1, tip.header.reference(), &[0, 1, 2]);
    bench.hear(1, Message::Entry(Entry::Certified(fresh.clone())));
    assert_eq!(bench.certified(), [fresh]);
}
