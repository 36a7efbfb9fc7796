//! Places that clients share, and of which none may take all.

use super::limits::network_of;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    /// The node has no more.
    #[error("all {0} are taken on this node; use another one")]
    Node(usize),
    /// The client has its part.
    #[error("one client gets {0} on this node, and has them")]
    Client(usize),
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    clients: BTreeMap<IpAddr, usize>,
}

/// So many places. Clones share them.
#[derive(Clone, Debug)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
    freed: Arc<Notify>,
    max: usize,
    max_of_client: usize,
}

/// A place, or some together, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    client: IpAddr,
    count: usize,
}

impl Places {
    /// All of them are free.
    #[must_use]
    pub(super) fn new(max: usize, max_of_client: usize) -> Self {
        Self { taken: Arc::default(), freed: Arc::default(), max, max_of_client }
    }

    /// Takes one for a client.
    pub(super) fn take(&self, client: IpAddr) -> Result<Place, Full> {
        self.take_some(client, 1)
    }

    /// Takes so many for a client; all that it may have if that is less.
    fn take_some(&self, client: IpAddr, count: usize) -> Result<Place, Full> {
        let client = network_of(client);
        let count = count.min(self.max_of_client).min(self.max);
        let mut taken = self.lock();
        if taken.all + count > self.max {
            return Err(Full::Node(self.max));
        }
        let of_client = taken.clients.get(&client).copied().unwrap_or_default();
        if of_client + count > self.max_of_client {
            return Err(Full::Client(self.max_of_client));
        }
        taken.all += count;
        taken.clients.insert(client, of_client + count);
        Ok(Place { places: self.clone(), client, count })
    }

    /// Takes so many for a client as soon as they are there, if that is within this time.
    pub(super) async fn wait(&self, client: IpAddr, count: usize, time: Duration) -> Result<Place, Full> {
        let mut late = pin!(tokio::time::sleep(time));
        loop {
            let mut freed = pin!(self.freed.notified());
            // From now on: one that is given back before it is waited for counts.
            freed.as_mut().enable();
            let full = match self.take_some(client, count) {
                Ok(place) => return Ok(place),
                Err(full) => full,
            };
            tokio::select! {
                () = freed => {}
                () = &mut late => return Err(full),
            }
        }
    }

    fn give_back(&self, client: IpAddr, count: usize) {
        let mut taken = self.lock();
        taken.all -= count;
        if let Some(of_client) = taken.clients.get_mut(&client) {
            *of_client -= count;
            if *of_client == 0 {
                taken.clients.remove(&client);
            }
        }
        drop(taken);
        self.freed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // No change can stop half way.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Gives back what is more than so many.
    pub(super) fn keep(&mut self, count: usize) {
        let more = self.count.saturating_sub(count);
        if more > 0 {
            self.count -= more;
            self.places.give_back(self.client, more);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.client, self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, Places};
    use std::{
        net::{IpAddr, Ipv4Addr},
        time::Duration,
    };

    #[test]
    fn one_client_cannot_take_the_places_of_others() {
        let places = Places::new(5, 3);
        let [one, other] = [1, 2].map(|number| IpAddr::from(Ipv4Addr::from(number)));
        let mut held: Vec<_> = (0..3).map(|_| places.take(one).unwrap()).collect();
        assert_eq!(places.take(one).unwrap_err(), Full::Client(3));
        held.extend((0..2).map(|_| places.take(other).unwrap()));
        assert_eq!(places.take(other).unwrap_err(), Full::Node(5));
        held.remove(0);
        held.push(places.take(one).unwrap());
        drop(held);
        assert!(places.lock().clients.is_empty() && places.lock().all == 0);
    }

    #[tokio::test]
    async fn several_are_taken_together_and_given_back_in_part() {
        let places = Places::new(10, 6);
        let [one, other] = [1, 2].map(|number| IpAddr::from(Ipv4Addr::from(number)));
        let now = Duration::ZERO;
        let mut held = places.wait(one, 4, now).await.unwrap();
        assert_eq!(places.wait(one, 4, now).await.unwrap_err(), Full::Client(6));
        let all = places.wait(other, 100, now).await.unwrap();
        assert_eq!(places.wait(one, 1, now).await.unwrap_err(), Full::Node(10), "no more than a client may have");
        held.keep(7);
        held.keep(1);
        let more = places.wait(one, 3, now).await.unwrap();
        drop((held, all, more));
        assert!(places.lock().clients.is_empty() && places.lock().all == 0);
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_one_or_is_told_after_a_while() {
        let places = Places::new(5, 1);
        let client = IpAddr::from(Ipv4Addr::LOCALHOST);
        let held = places.take(client).unwrap();
        assert_eq!(places.wait(client, 1, Duration::from_millis(1)).await.unwrap_err(), Full::Client(1));
        let (waited, ()) = tokio::join!(places.wait(client, 1, Duration::MAX), async {
            tokio::task::yield_now().await;
            drop(held);
        });
        assert!(waited.is_ok());
    }
}
