package role

// ParsePrefix reads a network as somebody types it.
var ParsePrefix = parsePrefix
