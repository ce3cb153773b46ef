mod clients;
mod ensemble;
mod limits;
mod tls;
