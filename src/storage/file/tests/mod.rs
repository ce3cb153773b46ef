mod support;

mod conformance;
