//! Rule 1: certificates take a node to their view + 1, and views never go back.

use super::{net::Bench, objects::everybody};
use crate::{Output, Votes};
use chorale_types::{Entry, High, Message, Proposal, View};

#[test]
fn any_certificate_of_this_view_or_a_later_one_is_followed_from_any_message() {
    let chain = |bench: &Bench| bench.maker.chain(&bench.maker.start(), 1, 3);
    let messages = |bench: &Bench| {
        let chain = chain(bench);
        let (certified, maker) = (chain[2].1.clone(), &bench.maker);
        vec![
            Message::Entry(Entry::Certified(certified.clone())),
            Message::Proposal(Proposal::Fresh(maker.tip(4, &certified, None))),
            Message::Timeout(maker.timeout(1, 4, High::Certified(certified), None)),
        ]
    };
    for number in 0..3 {
        let mut bench = Bench::new(0, Votes::Leaders).started();
        let message = messages(&bench).swap_remove(number);
        let from = if number == 1 { bench.maker.leader(4) } else { 1 };
        bench.hear(from, message);
        assert_eq!(bench.core.view(), View(4));
        assert_eq!(bench.core.high().view, View(3));
    }
}

#[test]
fn timeout_certificates_are_followed_too() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let high = High::Certified(bench.maker.start());
    let certificate = bench.maker.timeouts(7, &[(1, high.clone()), (2, high.clone()), (3, high)]);
    bench.hear(2, Message::Entry(Entry::TimedOut(certificate)));
    assert_eq!(bench.core.view(), View(8));
    assert!(bench.out.contains(&Output::Entered(View(8))));
}

#[test]
fn older_certificates_do_not_take_a_node_back() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let chain = bench.maker.chain(&bench.maker.start(), 1, 3);
    bench.hear(1, Message::Entry(Entry::Certified(chain[2].1.clone())));
    bench.hear(1, Message::Entry(Entry::Certified(chain[0].1.clone())));
    assert_eq!(bench.core.view(), View(4));
    assert_eq!(bench.core.high().view, View(3));
}

#[test]
fn a_certificate_below_the_view_still_raises_the_highest_one() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let start = High::Certified(bench.maker.start());
    let certificate = bench.maker.timeouts(5, &[(1, start.clone()), (2, start.clone()), (3, start)]);
    bench.hear(1, Message::Entry(Entry::TimedOut(certificate)));
    assert_eq!(bench.core.view(), View(6));
    let chain = bench.maker.chain(&bench.maker.start(), 1, 2);
    bench.hear(1, Message::Entry(Entry::Certified(chain[1].1.clone())));
    assert_eq!((bench.core.view(), bench.core.high().view), (View(6), View(2)));
}

#[test]
fn a_certificate_without_a_quorum_or_with_a_false_signature_is_blamed_on_its_sender() {
    let mut bench = Bench::new(0, Votes::Leaders).started();
    let tip = bench.maker.tip(1, &bench.maker.start(), None);
    let thin = bench.maker.certificate(1, tip.header.reference(), &[0, 1]);
    bench.hear(1, Message::Entry(Entry::Certified(thin)));
    assert_eq!(bench.blamed(), [1]);
    let mut forged = bench.maker.certificate(1, tip.header.reference(), &everybody(&bench.maker));
    forged.signature = bench.maker.certificate(1, tip.header.reference(), &[0, 1, 2]).signature;
    bench.hear(2, Message::Entry(Entry::Certified(forged)));
    assert_eq!(bench.blamed(), [2]);
    assert_eq!(bench.core.view(), View(1));
}
