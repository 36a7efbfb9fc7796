//! What bounds requests and answers in memory and in time.
//!
//! An answer stays in memory until its client has taken it. So each has a place until then; those that may be long have
//! places of their own, of which there are few; and who takes too long is hung up on, as who takes too long to ask.

use super::places::{Full, Place, Places};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, HttpResponse},
};
use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Sleep,
};
use tracing::debug;

/// Calls whose answers are long: blocks, lanes, and proofs.
pub(super) const LONG: [&str; 4] = ["chorale_block", "chorale_lane", "chorale_proveTransaction", "chorale_proveBundle"];
/// Bytes of an answer that are handed to the connection at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// How long any answer may take to be written.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Bytes that a client has to take in each second after that.
const WRITE_BYTES_PER_SECOND: u64 = 1024 * 1024;
/// Memory for long answers that are under way on the node, and for those of one client.
const MEMORY: usize = 256 * 1024 * 1024;
const MEMORY_OF_CLIENT: usize = MEMORY / 4;
/// The memory of one place.
const PLACE_BYTES: usize = 256 * 1024;

/// Places for long answers.
#[derive(Clone, Debug)]
pub(super) struct LongAnswers {
    places: Places,
    /// Of the longest answer.
    longest: usize,
}

impl LongAnswers {
    /// For answers of so many bytes at most.
    pub(super) fn new(answer_bytes_max: usize) -> Self {
        let longest = answer_bytes_max.div_ceil(PLACE_BYTES);
        let of_client = (MEMORY_OF_CLIENT / PLACE_BYTES).max(longest);
        Self { places: Places::new((MEMORY / PLACE_BYTES).max(2 * longest), of_client), longest }
    }

    /// Room for the longest answer to a client, as soon as there is some, if that is within this time.
    pub(super) async fn wait(&self, client: IpAddr, time: Duration) -> Result<Place, Full> {
        self.places.wait(client, self.longest, time).await
    }
}

/// An answer of this length is made: the rest of the room for it is free.
pub(super) fn keep(place: &mut Place, bytes: usize) {
    place.keep(bytes.div_ceil(PLACE_BYTES));
}

/// How long an answer of this length may take to be written.
pub(super) fn write_time(bytes: usize) -> Duration {
    WRITE_TIME + Duration::from_secs(bytes as u64 / WRITE_BYTES_PER_SECOND)
}

/// The place for its long answer that a request holds until it is written. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Mutex<Option<Place>>>);

impl Held {
    pub(super) fn add(&self, place: Place) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }

    pub(super) fn has_place(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The answer is made, and has this length.
    pub(super) fn keep(&self, bytes: usize) {
        if let Some(place) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            keep(place, bytes);
        }
    }
}

/// The body of an answer.
struct Answer {
    rest: Bytes,
    /// Of the request.
    _place: Place,
    _held: Held,
    /// Dropped with the body, which is when it is written.
    _written: Option<oneshot::Sender<()>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        // In pieces: the connection asks for the next one when it has room again.
        let length = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Has an answer give back its places when it is written, and its connection hung up on if that takes longer than one of its
/// length may.
pub(super) async fn guard(
    answer: HttpResponse,
    place: Place,
    held: Held,
    hang_up: Arc<Notify>,
    write_time: fn(usize) -> Duration,
) -> HttpResponse {
    let (parts, body) = answer.into_parts();
    let rest = match body.collect().await {
        Ok(whole) => whole.to_bytes(),
        Err(error) => {
            debug!(%error, "an answer that cannot be put together");
            Bytes::new()
        }
    };
    held.keep(rest.len());
    // A short one is written as soon as the connection has it.
    let written = (rest.len() > PIECE_BYTES).then(|| {
        let (written, done) = oneshot::channel();
        let time = write_time(rest.len());
        tokio::spawn(async move {
            if tokio::time::timeout(time, done).await.is_err() {
                hang_up.notify_one();
            }
        });
        written
    });
    HttpResponse::from_parts(parts, HttpBody::new(Answer { rest, _place: place, _held: held, _written: written }))
}

/// The body of a request, which has to come within a time.
pub(super) struct Timed<B> {
    body: B,
    late: Pin<Box<Sleep>>,
}

/// The body of a request did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("the body of the request did not come in time")]
struct Late;

impl<B> Timed<B> {
    pub(super) fn new(body: B, time: Duration) -> Self {
        Self { body, late: Box::pin(tokio::time::sleep(time)) }
    }
}

impl<B: Body<Error: Into<BoxError>> + Unpin> Body for Timed<B> {
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => self.late.as_mut().poll(context).map(|()| Some(Err(Late.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, LongAnswers, PIECE_BYTES, Timed, guard, keep, write_time};
    use crate::gateway::Places;
    use bytes::Bytes;
    use futures::FutureExt as _;
    use http_body::{Body as _, Frame};
    use http_body_util::{BodyExt as _, StreamBody};
    use jsonrpsee::{
        core::BoxError,
        server::{HttpBody, HttpResponse},
    };
    use std::{
        net::{IpAddr, Ipv4Addr},
        sync::Arc,
        time::Duration,
    };
    use tokio::sync::Notify;

    #[tokio::test]
    async fn long_answers_fit_into_memory_by_their_real_length_and_no_client_has_all() {
        let clients = [1, 2, 3, 4, 5].map(|number| IpAddr::from(Ipv4Addr::from(number)));
        let answers = LongAnswers::new(18 << 20);
        let mut held = Vec::new();
        for client in clients {
            while let Ok(place) = answers.wait(client, Duration::ZERO).await {
                held.push(place);
            }
        }
        assert_eq!(held.len(), 14, "three for each client as long as there is room: 252 MiB");
        held.iter_mut().for_each(|place| keep(place, 100_000));
        assert!(answers.wait(clients[0], Duration::ZERO).await.is_ok(), "they were short");
        // Whatever the longest is, one client can have it, and another one at the same time.
        let answers = LongAnswers::new(300 << 20);
        let _one = answers.wait(clients[0], Duration::ZERO).await.unwrap();
        assert!(answers.wait(clients[1], Duration::ZERO).await.is_ok());
        assert_eq!(write_time(0), Duration::from_secs(10));
        assert_eq!(write_time(5 << 20), Duration::from_secs(15));
    }

    #[tokio::test]
    async fn a_long_answer_keeps_its_place_until_it_is_written_and_who_does_not_take_it_is_hung_up_on() {
        let places = Places::new(1, 1);
        let client = Ipv4Addr::LOCALHOST.into();
        let text = "x".repeat(3 * PIECE_BYTES + 1);
        let requests = Places::new(10, 10);
        let answer = async |hang_up: &Arc<Notify>| {
            let held = Held::default();
            held.add(places.take(client).unwrap());
            let answer = HttpResponse::new(HttpBody::from(text.clone()));
            let request = requests.take(client).unwrap();
            guard(answer, request, held, hang_up.clone(), |_| Duration::from_millis(20)).await
        };
        let [heard, deaf] = [(); 2].map(|()| Arc::new(Notify::new()));

        let taken = answer(&heard).await;
        assert_eq!(taken.body().size_hint().exact(), Some(text.len() as u64));
        assert!(places.take(client).is_err(), "not written yet");
        assert_eq!(taken.into_body().collect().await.unwrap().to_bytes(), text.as_bytes());
        assert!(places.take(client).is_ok());

        let mut left = answer(&deaf).await;
        let first = left.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len(), PIECE_BYTES, "one piece at a time");
        deaf.notified().await;
        assert!(heard.notified().now_or_never().is_none(), "it was written");
        assert!(places.take(client).is_err(), "the connection gives it back");
        drop(left);
        assert!(places.take(client).is_ok());
        let all: Vec<_> = (0..10).map(|_| requests.take(client).unwrap()).collect();
        assert_eq!(all.len(), 10, "those of requests as well");
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, BoxError>>());
        let mut late = Timed::new(never, Duration::from_millis(1));
        let error = late.frame().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the body of the request did not come in time");
        let whole = Timed::new(HttpBody::from("whole"), Duration::from_secs(3_600)).collect().await.unwrap();
        assert_eq!(whole.to_bytes(), "whole");
    }
}
