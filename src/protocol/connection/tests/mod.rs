mod bad_input;
mod conversations;
mod host;
mod properties;
