package pages

// Pieces is pieces.
var Pieces = pieces
