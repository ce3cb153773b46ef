mod broadcast;
mod chaos;
mod hostile;
mod net;
mod recovery;
mod synchronise;
