mod net;
mod objects;

mod timing;
