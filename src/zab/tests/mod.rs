mod broadcast;
mod chaos;
mod disk;
mod hostile;
mod net;
mod recovery;
mod synchronise;
