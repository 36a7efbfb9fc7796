//! Links between nodes that a test can cut: every connection goes through a proxy of its own.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

/// One direction of one network between two nodes.
pub(crate) struct Link {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    open: Vec<TcpStream>,
}

impl Link {
    /// A way to `to` that is open. Its threads end with the test.
    pub(crate) fn new(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for inward in listener.incoming().map_while(Result::ok) {
                let Ok(outward) = TcpStream::connect(to) else { continue };
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if state.is_cut {
                    continue;
                }
                for (mut from, mut into) in [(&inward, &outward), (&outward, &inward)].map(both) {
                    state.open.push(from.try_clone().unwrap());
                    std::thread::spawn(move || copy(&mut from, &mut into));
                }
            }
        });
        Self { address, state }
    }

    /// Where it is entered.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts it, or joins it again.
    pub(crate) fn cut(&self, is_cut: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_cut = is_cut;
        if is_cut {
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn both((from, into): (&TcpStream, &TcpStream)) -> (TcpStream, TcpStream) {
    (from.try_clone().unwrap(), into.try_clone().unwrap())
}

fn copy(from: &mut TcpStream, into: &mut TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if into.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = into.shutdown(Shutdown::Both);
}
