package main

// proof says which tests show that a promise is kept.
type proof struct {
	what  string
	tests []string // folder and name, "internal/credit.TestX"
}

// Where most of the tests are.
const (
	inLedger = "internal/credit."
	inGate   = "internal/gateway."
	inE2E    = "e2e."
)

// everyEnding has a table of some hundred ways in which a call can end.
const everyEnding = inGate + "TestEveryEndingIsChargedExactly"

// endings are the sixteen ways in which a hold can end.
var endings = []proof{
	{"finished, usage reported", []string{everyEnding, inE2E + "TestStrangerPaysExactlyThePrice"}},
	{"finished, no usage reported", []string{everyEnding}},
	{"refused, failed or timed out before any content", []string{everyEnding, inGate + "TestVendorFailures", inGate + "TestWithoutADurableHoldNothingGoesOut"}},
	{"failover to another route of the model", []string{inGate + "TestAnotherRouteAnswersBeforeContent"}},
	{"a fallback to another model answered", []string{inGate + "TestAFallbackAnswersAtItsOwnPrice", inGate + "TestTheHoldIsThatOfTheDearestModel"}},
	{"the provider broke in the middle; our shutdown; a panic", []string{everyEnding, inGate + "TestShutdownCutsWhatDoesNotEnd", inGate + "TestAPanicSettlesTheHold"}},
	{"the client left before the answer began", []string{everyEnding, inGate + "TestAClientThatLeavesBeforeTheAnswer"}},
	{"the client left later", []string{everyEnding, inGate + "TestAClientThatLeavesACallWithoutStream", inGate + "TestAStreamThatIsBilledToItsEndIsReadOn"}},
	{"price above the hold", []string{everyEnding, inGate + "TestAChargeIsNeverAboveTheHold", inGate + "TestAModelThatCostMoreThanWasHeldGetsLargerHolds"}},
	{"usage that is impossible", []string{everyEnding, inGate + "TestUsageThatIsMissingOrImpossible"}},
	{"`kill -9`, power loss, crash", []string{inE2E + "TestKillLosesNothing", inLedger + "TestPowerFailureLosesNothing", inLedger + "TestACrashIsResolvedAtTheNextStart"}},
	{"the server is lost", []string{inLedger + "TestASilentProcessIsTakenOver", inE2E + "TestServersAreTakenOver"}},
	{"a settlement arrives after these two", []string{inLedger + "TestASilentProcessIsTakenOver", inLedger + "TestAProcessThatIsCutOff", inLedger + "TestReplayHappensOnce"}},
	{"a live process forgot the hold", []string{inLedger + "TestForgottenHoldsAreResolved"}},
	{"settled twice", []string{inLedger + "TestSettlingTwice"}},
	{"grant frozen or expired meanwhile", []string{inLedger + "TestFrozenCreditsWait", inLedger + "TestWhatExpiresIsTaken"}},
}

// failures are what can happen to the database, the disk and the network.
var failures = []proof{
	{"the database is slow, and the queue full", []string{inLedger + "TestAFullQueueRefusesHoldsOnly"}},
	{"the database hangs or is gone, shortly", []string{inLedger + "TestAnOutageLosesNothing", inLedger + "TestPostgresThatCannotBeReached"}},
	{"the database hangs or is gone for longer", []string{inLedger + "TestPostgresThatCannotBeReached", inLedger + "TestHealthAndMetricsTellWhatIsWrong", inLedger + "TestTheSpoolHelpsWhenTheDatabaseHangs", inGate + "TestALongOutageRefusesBeforeTheVendor"}},
	{"the database is stopped without a word under load", []string{inLedger + "TestPostgresThatIsRestarted", inE2E + "TestTheDatabaseStopsUnderLoad"}},
	{"the database takes no writes any more", []string{inLedger + "TestPostgresThatIsReadOnly", inLedger + "TestHealthAndMetricsTellWhatIsWrong"}},
	{"the spool is full", []string{inLedger + "TestAFullSpoolLeavesEndingsInMemory"}},
	{"the disk is full", []string{inE2E + "TestAFullDiskRefusesCallsAndHeals", inLedger + "TestAFullDiskLosesNoSettlement", inLedger + "TestSpaceThatComesBackHealsEverything", inLedger + "TestHealthAndMetricsTellWhatIsWrong"}},
	{"the disk hangs while the process ends", []string{inLedger + "TestStopDoesNotWaitForADiskThatHangs"}},
	{"writing fails", []string{inE2E + "TestABrokenDiskEndsTheProcess"}},
	{"the power fails", []string{inLedger + "TestPowerFailureLosesNothing"}},
	{"connections are used up", []string{inLedger + "TestConnectionsThatAreUsedUpStopNoCall", inLedger + "TestHealthAndMetricsTellWhatIsWrong"}},
	{"one server is cut off", []string{inLedger + "TestAProcessThatIsCutOff"}},
	{"one server is stopped for 45 s and goes on", []string{inE2E + "TestServersAreTakenOver"}},
	{"notifications are lost", []string{inLedger + "TestLeasesComeHomeWhenAnotherProcessAsks"}},
	{"the answer to a commit is lost", []string{inLedger + "TestALostCommitAnswerIsResolved"}},
	{"any call of the database fails, hangs or loses its answer, also at a start", []string{inLedger + "TestTheKthCallGoesWrong"}},
	{"a lane's head or the spool is damaged", []string{inLedger + "TestADamagedLaneIsNotTouched", inLedger + "TestADamagedSpoolStopsTheStart"}},
	{"callers give up at any moment", []string{inLedger + "TestCancelledCallsLeaveNothing"}},
	{"the clock jumps", []string{inLedger + "TestAWrongClockAdmitsNothing"}},
	{"an invariant would break", []string{inLedger + "TestOneBadOperationFailsAlone", inLedger + "TestARefusedSettlementIsResolvedLater", inLedger + "TestAnEndingNeedsItsOpenRow"}},
}
