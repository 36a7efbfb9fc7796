//! A value that one changes and many watch.
//!
//! As `tokio::sync::watch`, which wakes those who wait in an order that it draws at random, so that no seed would replay a
//! run of several actors. Here they are woken in the order in which they began to wait.

use std::{
    ops::Deref,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};
use tokio::sync::Notify;

/// Nobody changes the value any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody changes the value any more")]
pub struct Closed;

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Shared<T> {
    state: RwLock<State<T>>,
    changed: Notify,
}

impl<T> Shared<T> {
    fn read(&self) -> RwLockReadGuard<'_, State<T>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes the value. Dropping it says that no change comes any more.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the value. Each clone notices each change for itself.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was seen last.
    seen: u64,
}

/// The value, which does not change while this is held.
#[derive(Debug)]
pub struct Ref<'a, T>(RwLockReadGuard<'a, State<T>>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// A value that is watched. The receiver has seen it.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let state = RwLock::new(State { value, version: 0, is_closed: false });
    let shared = Arc::new(Shared { state, changed: Notify::new() });
    (Sender(shared.clone()), Receiver { shared, seen: 0 })
}

impl<T> Sender<T> {
    /// The value.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.0.read())
    }

    /// Sets the value; returns the one before.
    pub fn send_replace(&self, value: T) -> T {
        let mut before = value;
        self.send_modify(|value| std::mem::swap(value, &mut before));
        before
    }

    /// Changes the value.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Tells those who watch only if `change` says that it changed the value. Whether it did.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        let is_changed = change(&mut state.value);
        state.version += u64::from(is_changed);
        drop(state);
        if is_changed {
            self.0.changed.notify_waiters();
        }
        is_changed
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.0.changed.notify_waiters();
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Receiver<T> {
    /// The value.
    #[must_use]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    /// The value, which is seen now.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.read();
        self.seen = state.version;
        Ref(state)
    }

    /// Counts the value as not seen.
    pub fn mark_changed(&mut self) {
        // The first version is 0, so this is none that there is.
        self.seen = self.shared.read().version.wrapping_sub(1);
    }

    /// Completes when the value is another one than was seen last, and counts it as seen.
    ///
    /// # Errors
    ///
    /// None will come.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            let notified = self.shared.changed.notified();
            tokio::pin!(notified);
            // From here on a change is noticed, so none is missed between looking and waiting.
            notified.as_mut().enable();
            let (version, is_closed) = {
                let state = self.shared.read();
                (state.version, state.is_closed)
            };
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if is_closed {
                return Err(Closed);
            }
            notified.await;
        }
    }

    /// Completes when the value is such.
    ///
    /// # Errors
    ///
    /// It never will be.
    pub async fn wait_for(&mut self, mut is_such: impl FnMut(&T) -> bool) -> Result<(), Closed> {
        while !is_such(&self.borrow_and_update()) {
            self.changed().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Closed, channel};
    use futures::{FutureExt as _, executor::block_on};

    #[test]
    fn a_change_is_seen_once_by_each_who_watches() {
        let (sender, mut one) = channel(1);
        let mut other = one.clone();
        assert_eq!(one.changed().now_or_never(), None);
        assert_eq!(sender.send_replace(2), 1);
        assert_eq!(one.changed().now_or_never(), Some(Ok(())));
        assert_eq!(one.changed().now_or_never(), None);
        assert_eq!(*other.borrow_and_update(), 2);
        assert_eq!(other.changed().now_or_never(), None);
        assert!(!sender.send_if_modified(|_| false));
        assert_eq!(one.changed().now_or_never(), None);
    }

    #[test]
    fn who_waits_is_woken_by_a_change_and_by_the_end() {
        let (sender, mut receiver) = channel(1);
        let mut later = receiver.clone();
        let waiting = std::thread::spawn(move || block_on(receiver.wait_for(|value| *value == 3)));
        sender.send_replace(2);
        sender.send_replace(3);
        assert_eq!(waiting.join().unwrap(), Ok(()));
        let waiting = std::thread::spawn(move || block_on(later.wait_for(|value| *value == 4)));
        drop(sender);
        assert_eq!(waiting.join().unwrap(), Err(Closed));
    }
}
