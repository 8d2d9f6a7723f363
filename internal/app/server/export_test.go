package server

// NewErrorLog lets tests use the log without a network.
var NewErrorLog = newErrorLog
