-- Gives a task that is known a new time.
-- ARGV  2 task, 3 milliseconds until it is due
-- Returns whether it is sent, 0 or 1; -1 when it is not known.
if not call('ZSCORE', due, ARGV[2]) then
  return -1
end
move(ARGV[2], now + ARGV[3])
return call('SISMEMBER', sent, ARGV[2])
