// Package system tells operators how their installation is: which processes
// serve and with which version, how the database and the queues are, and what
// somebody should look at.
//
// Every process writes that it is there every ten seconds (Every); one that was
// not seen for longer than three turns is shown as silent, and is forgotten
// after a day.
//
// Tables: system_node.
package system
