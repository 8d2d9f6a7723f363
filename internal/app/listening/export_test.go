package listening

// NewErrorLog lets tests use the log without a network.
var NewErrorLog = newErrorLog
