# SPDX-License-Identifier: MIT
#
# Draws the cost curves anew from the numbers that moons wrote, for those who want other axes or a format other
# than SVG:
#
#     moons --out DIR
#     gnuplot -e "dir='DIR'" plot_costs.gp        writes DIR/costs-gnuplot.svg

if (!exists("dir")) dir = "."

set terminal svg size 884,510 font "Helvetica,14" background "white"
set output dir."/costs-gnuplot.svg"
set datafile separator ","
set title "Cost of the two moons"
set ylabel "cost (mean over the epoch's examples)"
set yrange [0:*]
set grid linecolor rgb "#e4e4e4" linetype 1
set key outside right top

# Okabe and Ito's colours, and dashes for those who print in black and white.
set linetype 1 linecolor rgb "#0072b2" linewidth 2.5 dashtype 1 pointtype 7
set linetype 2 linecolor rgb "#d55e00" linewidth 2.5 dashtype 2 pointtype 5
set linetype 3 linecolor rgb "#009e73" linewidth 2.5 dashtype 4 pointtype 9

# The header line names the curves: the first column is the epoch, every other one a method.
stats dir."/costs.csv" skip 1 nooutput
step = int(ceil(STATS_records / 500.0))
set xlabel step == 1 ? "epoch" : sprintf("epoch (one in %d is drawn)", step)
plot for [column = 2:STATS_columns] dir."/costs.csv" using 1:column every step \
    with linespoints pointinterval 50 title columnheader(column)
