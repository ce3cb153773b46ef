mod chaos;
mod net;
mod scenarios;
