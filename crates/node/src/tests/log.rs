//! The generic log.

use crate::store::Log;
use chorale_foundation::runtime::{
    Runner as _, Supervisor as _,
    deterministic::{Context, Runner},
};
use chorale_types::Height;

async fn open(context: &Context) -> Log<Context, u64> {
    Log::open(context.child("log"), "log").await.unwrap()
}

#[test]
fn what_was_synced_is_there_again_and_in_its_place() {
    let (_, checkpoint) = Runner::seeded(1).start_and_recover(|context| async move {
        let mut log = open(&context).await;
        let reader = log.reader();
        for item in 0..10_000 {
            assert_eq!(log.append(&item).await.unwrap(), Height(item + 1));
        }
        assert_eq!(reader.get(Height(9_000)).await.unwrap(), Some(8_999));
        log.sync().await.unwrap();
        log.append(&77).await.unwrap();
    });
    Runner::from(checkpoint).start(|context| async move {
        let log = open(&context).await;
        assert!(log.tip() >= Height(10_000));
        assert_eq!(log.get(Height(1)).await.unwrap(), Some(0));
        assert_eq!(log.get(Height(10_000)).await.unwrap(), Some(9_999));
        assert_eq!(log.get(Height(0)).await.unwrap(), None);
        assert_eq!(log.get(Height(20_000)).await.unwrap(), None);
    });
}

#[test]
fn pruning_drops_old_items_only() {
    Runner::seeded(2).start(|context| async move {
        let mut log = open(&context).await;
        for item in 0..10_000 {
            log.append(&item).await.unwrap();
        }
        log.sync().await.unwrap();
        log.prune(Height(9_000)).await.unwrap();
        assert_eq!(log.get(Height(1)).await.unwrap(), None);
        assert_eq!(log.get(Height(9_000)).await.unwrap(), Some(8_999));
        assert_eq!(log.append(&1).await.unwrap(), Height(10_001));
    });
}
