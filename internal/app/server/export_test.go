package server

// NewErrorLog is what tests look at without a network.
var NewErrorLog = newErrorLog
