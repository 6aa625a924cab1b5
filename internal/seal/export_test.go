package seal

// Dummy is what unknown names are verified against.
const Dummy = dummy
