// Package storetest is the test suite for implementations of [store.Store]: one function
// for each promise. A backend calls [Run] from its own tests,
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) storetest.Open { … })
//	}
//
// and adds tests for its own behaviour. Add new behaviour of stores, and every storage bug,
// here first.
//
// The suite uses only the interfaces of package store. It does not test what needs direct
// access to the data, such as a row edited by hand: the backend must test that.
package storetest

import (
	"testing"
	"time"

	"github.com/mcpkeys/mcpkeys/store"
)

// Open opens the same data again, each time as a new handle, like another process. It fails
// the test if it cannot. The suite closes the handles. The store uses the clock now.
type Open func(t testing.TB, now func() time.Time) store.Store

// Run tests every promise. Fresh makes an empty store, which is removed after the test.
func Run(t *testing.T, fresh func(t testing.TB) Open) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.test(t, newFixture(t, fresh(t))) })
	}
}

var promises = []struct {
	name string
	test func(*testing.T, *fixture)
}{
	{"every field comes back as it was", everyFieldComesBack},
	{"what is not set comes back not set", unsetComesBackUnset},
	{"an empty list comes back nil", emptyComesBackNil},
	{"times come back in UTC and whole microseconds", timesAreUTCMicroseconds},
	{"ids are case-sensitive", idsAreCaseSensitive},
	{"what is handed out is a copy", copiesAreIndependent},
	{"an unknown id is not found", unknownIsNotFound},

	{"a taken id is refused", takenIDIsRefused},
	{"a taken name is refused", takenNameIsRefused},
	{"a name is free again after a revoke", nameIsFreeAfterRevoke},
	{"a key without a fitting seal is not written", unsealedIsNotWritten},
	{"secrets are added, changed and removed", secretsFollow},
	{"a key has one secret or two", oneSecretOrTwo},

	{"a secret that was taken away is kept as superseded", takenAwayIsSuperseded},
	{"superseded secrets are few and of late", supersededAreBounded},
	{"a superseded token of another system is found, and stays taken", supersededTokenIsFound},
	{"a superseded token of another system stays taken permanently", endedTokenStaysTaken},

	{"a word is a change made once", wordIsOneChange},
	{"a word is kept of a change that had nothing to do", wordOfNoChange},
	{"a word of a change that failed is free", wordOfFailureIsFree},
	{"a word takes away again what was given back", wordTakesAwayAgain},
	{"a word of a secret that ended gives no advice about it", wordOfWhatIsGone},
	{"a word of one caller and route is not another's", wordsAreApart},
	{"a word is dropped after a day", wordIsForgotten},
	{"of many that ask at once with one word one is served", wordServesOne},
	{"a word survives a restart", wordSurvivesRestart},

	{"an imported secret is found by its lookup", importedIsFound},
	{"an imported secret comes once", importedComesOnce},
	{"a handle is shared by a few", handleIsSharedByFew},
	{"the feed tells whether anything is imported", feedTellsOfImports},
	{"many keys are created together or not at all", createAllIsOneAct},
	{"a key that is left out left nothing behind", createAllLeavesOutWhole},
	{"what is refused before it is written says so by type", refusalsAreTyped},
	{"a key of another store is refused", sealIsOfThisStore},
	{"keys that are not valid yet are not found", unfinishedIsNotFound},
	{"the feed does not tell of very many keys one by one", feedIsBounded},

	{"what is counted may be written", countsMayBeWritten},
	{"the digest of a proved secret is renewed", provedDigestIsRenewed},

	{"A21 a change touches one key", changeTouchesOneKey},
	{"no change writes nothing", noChangeWritesNothing},
	{"a failed change writes nothing", failedChangeWritesNothing},
	{"a change that panics writes nothing", panicWritesNothing},
	{"id, kind and creation stay", identityStays},
	{"a revocation stays", revocationStays},
	{"updates of one key never overlap", updatesNeverOverlap},
	{"two racing revokes are one", racingRevokesAreOne},
	{"a cancelled context halves no change", cancelHalvesNothing},
	{"changes made at once hold or fail singly", changesAtOnceHoldOrFailSingly},
	{"a failing change harms no neighbour", failingChangeHarmsNoNeighbour},

	{"a change that takes something away tells since when it is in effect", takingAwayTellsSince},
	{"a repeated change tells since when it is in effect", replayTellsSince},
	{"a longer life and another secret take nothing away", widenedSecretTellsNothing},

	{"no key is written without its audit row", noKeyWithoutAudit},
	{"no audit row is written without its key", noAuditWithoutKey},
	{"the store links the audit chain", storeLinksChain},
	{"the chain holds with several writers", chainHoldsWithWriters},
	{"audit rows come in pages", auditComesInPages},
	{"what is done to the store itself is recorded", storeIsRecorded},
	{"the audit log is read in either order", auditRunsEitherWay},
	{"conditions on the audit log select", auditConditionsSelect},
	{"paging through the audit log shows each row once while others are written", auditPagingUnderWrites},
	{"a page of the audit log is bounded", auditPageIsBounded},

	{"lists run newest first", listsRunNewestFirst},
	{"paging shows each key once while others are issued", pagingUnderInserts},
	{"the pages of keys of one instant are the whole list", pagesOfOneInstant},
	{"a page counts keys and not secrets", pageCountsKeys},
	{"a page is bounded", pageIsBounded},
	{"a strange cursor is refused", strangeCursorIsRefused},
	{"listed status is the key's status", listedStatusAgrees},
	{"conditions select", conditionsSelect},
	{"conditions add up", conditionsAddUp},
	{"A4 metacharacters are plain text", metacharactersArePlainText},

	{"the feed tells each change once", feedTellsOnce},
	{"the feed tells of other handles", feedTellsOfOthers},
	{"the feed is silent when nothing changed", feedIsSilent},
	{"what changed is told for a day", changesAreToldForADay},
	{"a position that never was is lost", futurePositionIsLost},
	{"a position at which another change stands is lost", otherChangeIsLost},
	{"a commit is seen by every handle at once", commitIsSeenAtOnce},
	{"the epoch moves with every acknowledged change", epochMoves},
	{"the epoch never falls", epochNeverFalls},
	{"the feed states its bounds", feedStatesBounds},
	{"each change ends the waiting", eachChangeEndsTheWaiting},

	{"counts of use add up", countsAddUp},
	{"what was never used has no usage", unknownHasNoUsage},
	{"a last use moves forward only", lastUseMovesForward},
	{"uses are added whole or not at all", addUseIsOneTransaction},
	{"hours that are old are summed up by the day", oldHoursAreSummedUp},
	{"counts of days are let go in the end", oldCountsAreLetGo},
	{"no use is lost when an hour turns", turningHourLosesNoUse},
	{"D7 a use in the future is one of now", futureUseIsNow},
	{"several writers lose no use", writersLoseNoUse},
	{"a use is not a change", useIsNoChange},
	{"usage survives a restart", usageSurvivesRestart},
	{"a list tells the last use", listTellsLastUse},
	{"a list finds what is unused", unusedSelects},
	{"a closed store keeps no usage", closedKeepsNoUsage},
	{"denials add up by the minute", denialsAddUp},
	{"conditions on denials select", denialsSelect},
	{"D7 a denial in the future is one of now", futureDenialIsNow},
	{"denials are bounded, and callers without a key wash away none with one", denialsAreBounded},
	{"denials of one audience push out no share of another", denialsAreShared},
	{"denials are written whole or not at all", denialsAreOneTransaction},
	{"a message is counted once, also after a restart", messageIsCountedOnce},
	{"a message is counted whole or not at all", messageIsOneTransaction},
	{"numbers of messages are bounded for each verify key", messageNumbersAreBounded},

	{"everything survives a restart", everythingSurvivesRestart},
	{"a closed store is unavailable", closedIsUnavailable},
	{"closing waits for a change under way", closeWaits},
}
