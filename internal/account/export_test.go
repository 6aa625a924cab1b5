package account

// CheckEmail is checkEmail, for the fuzz target.
var CheckEmail = checkEmail
